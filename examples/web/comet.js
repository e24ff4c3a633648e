/* comet.js: a client of Comet over WebSocket, for browsers and Node, with no dependencies. It keeps one connection up:
 * authenticates, sends heartbeats, comes back after a loss with a jittered back-off, and is then in the room that it was
 * in. Version 2 of the protocol, docs/protocol.md. Types are in comet.d.ts. SPDX-License-Identifier: MIT */

/* table: from common/wire/ops.def by `make docs` */
export const Op = Object.freeze({
	HEARTBEAT: 2,
	HEARTBEAT_REPLY: 3,
	DISCONNECT: 6,
	AUTH: 7,
	AUTH_REPLY: 8,
	RAW: 9,
	CHANGE_ROOM: 12,
	CHANGE_ROOM_REPLY: 13,
	SUB: 14,
	SUB_REPLY: 15,
	UNSUB: 16,
	UNSUB_REPLY: 17,
	JOIN: 18,
	JOIN_REPLY: 19,
	LEAVE: 20,
	LEAVE_REPLY: 21,
	NOTICE: 22,
});
/* end of table */

/* Codes of op 6. FINAL: coming back is of no use. */
/* table: from common/wire/goodbye.def by `make docs` */
export const Goodbye = Object.freeze({
	KICKED: 1,
	REPLACED: 2,
	SLOW_CONSUMER: 3,
	DRAINING: 4,
	AUTH_REFUSED: 5,
	NO_LOGIC: 6,
	CONNECTIONS: 7,
	PER_IP: 8,
	HEARTBEAT_TIMEOUT: 9,
	BAD_ROOM: 10,
	NO_THREAD: 11,
	NO_MEMORY: 12,
	AUTH_EXPIRED: 13,
	HANDSHAKES: 20,
	CONNECTS: 21,
	CONNECTS_PER_IP: 22,
	ACCEPTS: 23,
	BANNED: 24,
	PER_USER: 25,
	REVOKED: 26,
});
const FINAL = new Set([
	Goodbye.KICKED, Goodbye.REPLACED, Goodbye.AUTH_REFUSED, Goodbye.BAD_ROOM, Goodbye.AUTH_EXPIRED, Goodbye.BANNED, Goodbye.PER_USER, Goodbye.REVOKED,
]);
const NEEDS_TOKEN = new Set([Goodbye.AUTH_REFUSED, Goodbye.AUTH_EXPIRED, Goodbye.REVOKED]);
/* end of table */

const HEAD_BYTES = 16;
const MAX_SEQ = 0x7fffffff;
const HURRY_MS = 200; // the bound of the first wait where a server that goes away named others
const SERVED_ON_MS = 60_000; // that server is still read for at most so long; it closes by itself long before
const TIMER_MAX_MS = 0x7fffffff; // longer ones would fire at once
const DEFAULTS = {
	key: '', room: '', platform: 'web', accepts: [1000],
	heartbeat: 30_000, // between heartbeats; the server waits for minutes, proxies on the way do not
	timeout: 10_000, // for a connection to come up, and for each answer
	maxBody: 4096, // protocol.max_body of the server, which closes on longer ones without a word
	backoff: {base: 3000, factor: 1.8, max: 300_000, stable: 10_000},
};

export class CometError extends Error {
	/* code: 'lost', 'timeout', 'goodbye', 'closed', 'protocol' or 'unchanged'; goodbye: what the server said, if it did. */
	constructor(code, message, goodbye = null) {
		super(message);
		this.name = 'CometError';
		this.code = code;
		this.goodbye = goodbye;
	}
}

// ---- packets

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function bytesOf(body) {
	if (typeof body === 'string')
		return encoder.encode(body);
	if (body instanceof ArrayBuffer)
		return new Uint8Array(body);
	if (ArrayBuffer.isView(body))
		return new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
	throw new TypeError('a body is a string, an ArrayBuffer or a view of one');
}

/* One packet, as the payload of a WebSocket message. */
export function encode(op, body = '', seq = 0, ver = 1) {
	const bytes = bytesOf(body);
	const packet = new Uint8Array(HEAD_BYTES + bytes.length);
	const head = new DataView(packet.buffer);
	head.setInt32(0, packet.length);
	head.setInt16(4, HEAD_BYTES);
	head.setInt16(6, ver);
	head.setInt32(8, op);
	head.setInt32(12, seq);
	packet.set(bytes, HEAD_BYTES);
	return packet;
}

/* A packet from the server. `pushed`: it came in a wrapper, so it answers nothing. */
export class Packet {
	constructor(op, seq, ver, body, pushed) {
		Object.assign(this, {op, seq, ver, body, pushed});
	}
	text() {
		return decoder.decode(this.body);
	}
	json() {
		return JSON.parse(this.text());
	}
}

/* All packets of one message, those inside an op 9 wrapper in its place. Throws a CometError on a malformed one. */
export function decode(data, pushed = false) {
	const bytes = bytesOf(data);
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const packets = [];
	for (let at = 0; at < bytes.length;) {
		const length = bytes.length - at >= HEAD_BYTES ? view.getInt32(at) : 0;
		if (length < HEAD_BYTES || length > bytes.length - at || view.getInt16(at + 4) !== HEAD_BYTES)
			throw new CometError('protocol', `no packet at byte ${at} of ${bytes.length}`);
		const body = bytes.subarray(at + HEAD_BYTES, at + length);
		const op = view.getInt32(at + 8);
		if (op === Op.RAW && !pushed)
			packets.push(...decode(body, true));
		else
			packets.push(new Packet(op, view.getInt32(at + 12), view.getInt16(at + 6), body, pushed));
		at += length;
	}
	return packets;
}

/* How long to wait before attempt n (from 0): a random time up to a bound that grows, so that the clients of a server
 * that restarts do not all come at once. */
export function delayOf(n, {base, factor, max} = DEFAULTS.backoff, random = Math.random) {
	return random() * Math.min(max, base * factor ** n);
}

// ---- the client

function socketClass(given) {
	const found = given ?? globalThis.WebSocket;
	if (typeof found !== 'function')
		throw new TypeError('no WebSocket here: pass one as options.WebSocket, such as that of the npm package ws');
	return found;
}

function goodbyeOf(packet) {
	let said = {};
	try {
		said = packet.json() ?? {};
	} catch {
		// a goodbye without words is one as well
	}
	const code = Number.isInteger(said.code) ? said.code : 0;
	const nodes = Array.isArray(said.nodes) ? said.nodes.filter(node => typeof node === 'string') : [];
	return {code, reason: typeof said.reason === 'string' ? said.reason : '', final: FINAL.has(code), nodes};
}

/* The same promise; a rejection that nobody looks at is no fault of the program. */
function quiet(promise) {
	promise.catch(() => {});
	return promise;
}

export class Comet {
	#options; #WebSocket;
	#state = 'idle'; // connecting, online, waiting, closed
	#listeners = new Map();
	#socket = null;
	#seq = 0;
	#pending = new Map(); // seq → {op, resolve, reject, timer}
	#waiters = []; // calls that wait for the next time that we are online
	#attempt = 0;
	#timer = null; // of the phase that we are in: deadline, back-off or next heartbeat
	#onlineSince = 0;
	#ended = null; // why we are closed
	#sentAwayBy = null; // the goodbye that ended the connection before
	#room; #accepts;
	#old = null; // {socket, timer}: the connection to a server that goes away, which still pushes
	#roomOf = null; // the room and the operations that the token of this connection named
	#acceptsOf = null;
	#wake = () => this.#state === 'waiting' && this.#sleep(delayOf(0, this.#options.backoff));

	constructor(url, options = {}) {
		this.#options = {...DEFAULTS, ...options, url, backoff: {...DEFAULTS.backoff, ...options.backoff}};
		this.#WebSocket = socketClass(options.WebSocket);
		this.#room = this.#options.room;
		this.#accepts = new Set(this.#options.accepts);
	}

	get state() { return this.#state; }
	get room() { return this.#room; }
	get accepts() { return [...this.#accepts]; }

	/* Call fn for each event of this name; the result ends that. Events: comet.d.ts. */
	on(name, fn) {
		if (!this.#listeners.has(name))
			this.#listeners.set(name, new Set());
		this.#listeners.get(name).add(fn);
		return () => this.#listeners.get(name).delete(fn);
	}

	/* Come online, and stay so until close(). Resolves when it is online for the first time; rejects when it never can be. The
	 * event `closed` tells that as well: here, and in the three below, nobody has to look at the promise. */
	connect() {
		if (this.#state === 'idle' || this.#state === 'closed') {
			globalThis.addEventListener?.('online', this.#wake); // the network is back: no need to wait any longer
			this.#attempt = 0;
			this.#open();
		}
		return quiet(this.#whenOnline());
	}

	/* Go, and not come back. */
	close() {
		if (this.#state !== 'idle' && this.#state !== 'closed')
			this.#end(new CometError('closed', 'closed by close()'));
	}

	/* A packet with an operation of the application, for the back end; resolves with the server's receipt. */
	request(op, body = '') {
		const bytes = bytesOf(body);
		if (bytes.length > this.#options.maxBody)
			return Promise.reject(new RangeError(`a body of ${bytes.length} bytes, the server takes ${this.#options.maxBody}`));
		if (this.#state !== 'online')
			return Promise.reject(new CometError('lost', 'not online'));
		return this.#ask(op, bytes);
	}

	/* Send a new token before the old one expires; jwt or token is then a function. Resolves when the new one counts. */
	async renew() {
		const reply = await this.request(Op.AUTH, await this.#makeToken());
		if (reply.op !== Op.AUTH_REPLY)
			throw new CometError('unchanged', 'the server did not take the new token; the old one still counts');
	}

	/* Say that we are there; resolves with the number of people in the room. */
	async heartbeat() {
		const reply = await this.request(Op.HEARTBEAT);
		const {body} = reply;
		return body.length === 4 ? new DataView(body.buffer, body.byteOffset, 4).getInt32(0) : 0;
	}

	/* These three are remembered over reconnects, and may be called any time; they resolve once the server has them. */
	changeRoom(room = '') {
		this.#room = String(room);
		return quiet(this.#settle(Op.CHANGE_ROOM, this.#room));
	}
	subscribe(...ops) {
		for (const op of ops)
			this.#accepts.add(op);
		return quiet(this.#settle(Op.SUB, ops.join()));
	}
	unsubscribe(...ops) {
		for (const op of ops)
			this.#accepts.delete(op);
		return quiet(this.#settle(Op.UNSUB, ops.join()));
	}

	async #settle(op, body) {
		if (this.#state !== 'online')
			return this.#whenOnline();
		try {
			await this.request(op, body);
		} catch (error) {
			if (error.code !== 'lost')
				throw error;
			await this.#whenOnline(); // which says it again
		}
	}

	// -- a connection's life: open, authenticate, online, lost; then wait and open again

	#open() {
		this.#become('connecting');
		this.#after(this.#options.timeout, () => this.#lose(new CometError('timeout', 'no connection in time')));
		let socket;
		try {
			const {url} = this.#options;
			socket = new this.#WebSocket(String(typeof url === 'function' ? url(this.#sentAwayBy) : url));
		} catch (error) {
			this.#end(error); // no URL at all, or one that the page may not use
			return;
		}
		this.#socket = socket;
		socket.binaryType = 'arraybuffer';
		// Events of a socket that we have given up do not count any more.
		const mine = fn => event => socket === this.#socket && fn(event);
		socket.onopen = mine(() => this.#authenticate(socket));
		socket.onmessage = mine(event => this.#receive(event.data));
		socket.onclose = mine(event => this.#lose(new CometError('lost', `the connection was closed (${event.code})`)));
		socket.onerror = () => {}; // onclose follows
	}

	async #authenticate(socket) {
		let body;
		try {
			body = await this.#makeToken();
		} catch (error) {
			if (socket === this.#socket)
				this.#lose(error);
			return;
		}
		if (socket !== this.#socket)
			return; // lost while we waited for it
		this.#ask(Op.AUTH, bytesOf(body)).then(() => this.#beOnline(), () => {}); // #lose has been told
	}

	/* As docs/protocol.md, section 4, has it: ours, ours around a JWT, or one that is not ours to look into. */
	async #makeToken() {
		const {mid = 0, user, key, platform, token, jwt} = this.#options;
		if (token !== undefined) {
			this.#roomOf = this.#options.room;
			this.#acceptsOf = new Set(this.#options.accepts);
			return typeof token === 'function' ? token() : token;
		}
		const us = user === undefined ? {mid} : {user};
		const who = jwt === undefined ? us : {token: typeof jwt === 'function' ? await jwt() : jwt};
		this.#roomOf = this.#room;
		this.#acceptsOf = new Set(this.#accepts);
		return JSON.stringify({...who, key, room_id: this.#room, platform, accepts: [...this.#accepts]});
	}

	#beOnline() {
		this.#onlineSince = Date.now();
		// With a key the server closes it, soon after the key has moved. Without one each push would come on both.
		if (!this.#options.key && this.#options.token === undefined)
			this.#part();
		this.#become('online');
		this.#beat();
		this.#catchUp().then(() => {
			for (const waiter of this.#waiters.splice(0))
				waiter.resolve();
			this.#emit('online', {room: this.#room});
		}, () => {}); // lost again
	}

	/* Send the changes since the token was made, and those that are not in it. */
	async #catchUp() {
		const add = [...this.#accepts].filter(op => !this.#acceptsOf.has(op));
		const take = [...this.#acceptsOf].filter(op => !this.#accepts.has(op));
		const asked = [];
		if (this.#room !== this.#roomOf)
			asked.push(this.#ask(Op.CHANGE_ROOM, bytesOf(this.#room)));
		if (add.length > 0)
			asked.push(this.#ask(Op.SUB, bytesOf(add.join())));
		if (take.length > 0)
			asked.push(this.#ask(Op.UNSUB, bytesOf(take.join())));
		await Promise.all(asked);
	}

	#beat() {
		this.#after(this.#options.heartbeat, async () => {
			try {
				this.#emit('heartbeat', {people: await this.heartbeat()});
			} catch {
				return; // lost, or closed: nothing to beat for
			}
			if (this.#state === 'online')
				this.#beat();
		});
	}

	/* This connection is of no use any more. */
	#lose(error) {
		const {goodbye = null} = error;
		this.#sentAwayBy = goodbye;
		const isDrained = goodbye?.code === Goodbye.DRAINING && this.#state === 'online';
		const lasted = this.#state === 'online' && Date.now() - this.#onlineSince >= this.#options.backoff.stable;
		if (isDrained)
			this.#readOut();
		this.#drop(error);
		const asksForTokens = [this.#options.token, this.#options.jwt].some(given => typeof given === 'function');
		const mayHelp = asksForTokens && NEEDS_TOKEN.has(goodbye?.code);
		if (goodbye?.final && !mayHelp) {
			this.#end(error);
			return;
		}
		this.#attempt = lasted ? 0 : this.#attempt;
		const {backoff} = this.#options;
		// A server of a cluster spreads its clients over time and nodes itself, and does not serve on for as long as base.
		const bounds = goodbye?.nodes.length > 0 ? {...backoff, base: Math.min(backoff.base, HURRY_MS)} : backoff;
		const delay = delayOf(this.#attempt++, bounds);
		this.#become('waiting');
		this.#emit('lost', {error, goodbye, delay});
		if (this.#state === 'waiting')
			this.#sleep(delay);
	}

	#sleep(delay) {
		this.#after(delay, () => this.#open());
	}

	#end(error) {
		globalThis.removeEventListener?.('online', this.#wake);
		this.#ended = error;
		this.#drop(error);
		this.#part();
		for (const waiter of this.#waiters.splice(0))
			waiter.reject(error);
		this.#become('closed');
		this.#emit('closed', {error, goodbye: error.goodbye ?? null});
	}

	/* Let go of the socket without waiting for it: on a dead network its own goodbye would take minutes. */
	#drop(error) {
		const socket = this.#socket;
		clearTimeout(this.#timer);
		this.#socket = null;
		for (const {timer, reject} of this.#pending.values()) {
			clearTimeout(timer);
			reject(error);
		}
		this.#pending.clear();
		if (socket === null || socket.readyState === 3)
			return;
		if (error.code === 'timeout' && typeof socket.terminate === 'function')
			socket.terminate();
		else
			socket.close(1000);
	}

	/* A server that goes away serves on for a while: take its pushes, so that nothing is missed until the next connection is
	 * there. */
	#readOut() {
		const socket = this.#socket;
		this.#part();
		this.#socket = null; // so that #drop lets it be
		this.#old = {socket, timer: setTimeout(() => this.#part(), SERVED_ON_MS)};
		const mine = fn => event => socket === this.#old?.socket && fn(event);
		socket.onmessage = mine(event => this.#receiveOld(event.data));
		socket.onclose = mine(() => this.#part());
	}

	/* Be done with it. */
	#part() {
		const old = this.#old;
		this.#old = null;
		if (old === null)
			return;
		clearTimeout(old.timer);
		if (old.socket.readyState !== 3)
			old.socket.close(1000);
	}

	// -- packets

	#ask(op, bytes) {
		return new Promise((resolve, reject) => {
			const seq = this.#seq = this.#seq % MAX_SEQ + 1;
			const {timeout} = this.#options;
			const timer = setTimeout(() => this.#lose(
				new CometError('timeout', `no answer to operation ${op} within ${timeout} ms`)), timeout);
			this.#pending.set(seq, {resolve, reject, timer});
			this.#socket.send(encode(op, bytes, seq));
		});
	}

	#receive(data) {
		let packets;
		try {
			packets = decode(data);
		} catch (error) {
			this.#lose(error instanceof CometError ? error : new CometError('protocol', 'no binary message'));
			return;
		}
		const socket = this.#socket;
		for (const packet of packets) {
			if (socket === this.#socket)
				this.#take(packet);
			else
				this.#takeOld(socket, packet); // or a listener has closed us
		}
	}

	#receiveOld(data) {
		const {socket} = this.#old;
		try {
			for (const packet of decode(data))
				this.#takeOld(socket, packet);
		} catch {
			this.#part();
		}
	}

	/* Answers on it belong to requests that were given up. */
	#takeOld(socket, packet) {
		if (packet.pushed && socket === this.#old?.socket)
			this.#emit('push', packet);
	}

	#take(packet) {
		if (packet.op === Op.DISCONNECT) {
			const goodbye = goodbyeOf(packet), socket = this.#socket;
			this.#emit('goodbye', goodbye);
			if (socket !== this.#socket)
				return; // a listener has closed us
			this.#lose(new CometError('goodbye', goodbye.reason || 'the server closed', goodbye));
		} else if (packet.pushed) {
			this.#emit('push', packet);
		} else {
			const asked = this.#pending.get(packet.seq);
			this.#pending.delete(packet.seq);
			clearTimeout(asked?.timer);
			asked?.resolve(packet);
		}
	}

	// -- small things

	#whenOnline() {
		if (this.#state === 'online')
			return Promise.resolve();
		if (this.#state === 'closed')
			return Promise.reject(this.#ended);
		return new Promise((resolve, reject) => this.#waiters.push({resolve, reject}));
	}

	#after(ms, fn) {
		clearTimeout(this.#timer);
		this.#timer = setTimeout(fn, Math.min(ms, TIMER_MAX_MS));
	}

	#become(state) {
		if (this.#state !== state) {
			this.#state = state;
			this.#emit('state', state);
		}
	}

	/* A listener that throws keeps no other from hearing; its error goes where uncaught errors go. */
	#emit(name, detail) {
		for (const fn of [...this.#listeners.get(name) ?? []]) {
			try {
				fn(detail);
			} catch (error) {
				queueMicrotask(() => { throw error; });
			}
		}
	}
}
