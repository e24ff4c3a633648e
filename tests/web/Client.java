/* A client of WebSocket that was written elsewhere: java.net.http, of the JDK. Prints each packet that comes as "OP BODY", and "close CODE";
 * a line on its standard input has it send a heartbeat. SPDX-License-Identifier: MIT */
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CountDownLatch;

public class Client implements WebSocket.Listener {
	private final ByteArrayOutputStream message = new ByteArrayOutputStream();
	private static final PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
	private final CountDownLatch closed = new CountDownLatch(1);

	static ByteBuffer packet(int op, String body) {
		byte[] bytes = body.getBytes(StandardCharsets.UTF_8);

		return ByteBuffer.allocate(16 + bytes.length).putInt(16 + bytes.length).putShort((short)16).putShort((short)1)
			.putInt(op).putInt(1).put(bytes).flip();
	}

	/* Op 9 holds packets. */
	private void show(ByteBuffer packets) {
		while (packets.remaining() >= 16) {
			byte[] body = new byte[packets.getInt(packets.position()) - 16];
			int op = packets.getInt(packets.position() + 8);

			packets.position(packets.position() + 16);
			packets.get(body);
			if (op == 9)
				show(ByteBuffer.wrap(body));
			else
				out.println(op + " " + new String(body, StandardCharsets.UTF_8));
		}
	}

	@Override
	public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer data, boolean last) {
		byte[] bytes = new byte[data.remaining()];

		data.get(bytes);
		message.writeBytes(bytes);
		if (last) {
			show(ByteBuffer.wrap(message.toByteArray()));
			message.reset();
		}
		socket.request(1);
		return null;
	}

	@Override
	public CompletionStage<?> onClose(WebSocket socket, int code, String why) {
		out.println("close " + code);
		closed.countDown();
		return null;
	}

	@Override
	public void onError(WebSocket socket, Throwable fault) {
		out.println("fault " + fault);
		closed.countDown();
	}

	public static void main(String[] args) throws Exception {
		Client client = new Client();
		WebSocket socket = HttpClient.newHttpClient().newWebSocketBuilder().buildAsync(URI.create(args[0]), client).join();
		Thread reader = new Thread(() -> {
			try {
				while (System.in.read() >= 0)
					socket.sendBinary(packet(2, ""), true).join();
			} catch (Exception gone) {
				out.println("fault " + gone);
			}
		});

		socket.sendBinary(packet(7, args[1]), true).join();
		reader.setDaemon(true);
		reader.start();
		client.closed.await();
	}
}
