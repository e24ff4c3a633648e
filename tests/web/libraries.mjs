/* libraries: a WebSocket library of npm that knows nothing of comet, against one: node libraries.mjs sockette|rxjs URL. It authenticates
 * each time that it is connected, and says what happens as JSON lines. What it takes to come back after a drain is what
 * docs/protocol.md says of these libraries. SPDX-License-Identifier: MIT */
import {createRequire} from 'node:module';

const [library, url] = process.argv.slice(2);
globalThis.WebSocket = createRequire(import.meta.url)('ws'); // what a browser has; NODE_PATH tells where
const modules = createRequire(`${process.env.COMET_TEST_MODULES}/`);
const say = (event, more = {}) => process.stdout.write(`${JSON.stringify({event, ...more})}\n`);
const auth = {ver: 1, op: 7, seq: 1, body: 7};
const isGone = code => code === 1000; // meant for this client: kicked, or replaced

function sockette() {
	const Sockette = modules('sockette');
	const socket = new Sockette(url, {
		timeout: 200,
		onopen: () => socket.json(auth),
		onmessage: ({data}) => say('message', {packets: JSON.parse(data)}),
		onclose: event => {
			say('close', {code: event.code});
			if (event.code === 1001) // which sockette takes for the end, too
				socket.reconnect(event);
		},
		onerror: () => {},
	});
}

function rxjs() {
	const {webSocket} = modules('rxjs/webSocket');
	const {repeat, retry, takeWhile, timer} = modules('rxjs');
	let code = 0;
	const socket = webSocket({
		url,
		openObserver: {next: () => socket.next(auth)},
		closeObserver: {next: event => say('close', {code: code = event.code})},
	});

	/* Any close frame completes the stream, which is no error: so retry() alone never comes back. */
	socket.pipe(retry({delay: 200}), repeat({delay: () => timer(200).pipe(takeWhile(() => !isGone(code)))}))
		.subscribe({next: packets => say('message', {packets}), complete: () => say('end')});
}

({sockette, rxjs})[library]();
