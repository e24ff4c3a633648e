/* comet.js: a client of Comet over WebSocket, for browsers and Node, with no dependencies. It keeps one connection up:
 * authenticates, sends heartbeats, comes back after a loss with a jittered back-off, and is then in the room that it was
 * in. With the option `streams` it may join several rooms, and gets what was pushed to them while it was away. Version 2 of
 * the protocol, docs/protocol.md. Types are in comet.d.ts. SPDX-License-Identifier: MIT */

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
	ACK: 24,
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
const PUSH_VER = 4; // of every push, once AUTH has asked for streams
const PUSH_HEAD_BYTES = 5; // the number's high half, and the length of the room's id
const FRAME = '{"rooms":[]}'; // of a JOIN or LEAVE
const LONGEST_ROOM = 255; // bytes of a room's name
const MOST_ROOMS = 10_000; // that a server may let a client into, as limits.rooms
const RETRY_LEAST_MS = 500; // before a room is asked for again, whatever the server says
const SAVE_MS = 1000; // between two calls of positions.save
const ACK_MS = 1000; // between two confirmed positions
const LONGEST_TOKEN = 16_384; // that a server takes, whatever its protocol.max_body
const USER = ''; // the user's stream, among the rooms
const DEFAULTS = {
	key: '', room: '', platform: 'web', accepts: [1000],
	heartbeat: 30_000, // between heartbeats; the server waits for minutes, proxies on the way do not
	timeout: 10_000, // for a connection to come up, and for each answer
	maxBody: 4096, // protocol.max_body of the server, which closes on longer ones without a word
	backoff: {base: 3000, factor: 1.8, max: 300_000, stable: 10_000},
};

export class CometError extends Error {
	/* code: 'lost', 'timeout', 'goodbye', 'closed', 'protocol', 'unchanged' or 'refused'; goodbye: what the server said, if it
	 * did. */
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

/* A packet from the server. `pushed`: it came in a wrapper, so it answers nothing, unless AUTH has asked for streams. Of a push
 * with a number, or of one to a room, `number` and `room` are what it says; 0 and '' otherwise. */
export class Packet {
	room = '';
	number = 0;
	constructor(op, seq, ver, body, pushed) {
		Object.assign(this, {op, seq, ver, body, pushed});
	}
	/* Of ver 4: take number and room from the front of the body. */
	unwrap() {
		const {body} = this;
		const end = PUSH_HEAD_BYTES + (body[PUSH_HEAD_BYTES - 1] ?? 0);
		must(body.length >= Math.max(end, PUSH_HEAD_BYTES), 'a push without its head');
		this.number = new DataView(body.buffer, body.byteOffset).getUint32(0) * 2 ** 32 + (this.seq >>> 0);
		must(isPosition(this.number), 'a push with a number that is none');
		this.room = decoder.decode(body.subarray(PUSH_HEAD_BYTES, end));
		this.body = body.subarray(end);
		return this;
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

/* Pieces of JSON as bodies `{"rooms":[…]}` of at most so many bytes; one that is longer by itself goes alone. */
export function pack(pieces, most) {
	const bodies = [];
	let bytes = Infinity;
	for (const piece of pieces) {
		const more = encoder.encode(piece).length + 1;
		if (bytes + more > most) {
			bodies.push([]);
			bytes = FRAME.length;
		}
		bodies.at(-1).push(piece);
		bytes += more;
	}
	return bodies.map(body => `{"rooms":[${body.join()}]}`);
}

// ---- the client

function socketClass(given) {
	const found = given ?? globalThis.WebSocket;
	if (typeof found !== 'function')
		throw new TypeError('no WebSocket here: pass one as options.WebSocket, such as that of the npm package ws');
	return found;
}

function goodbyeOf(packet) {
	const said = objectOf(packet); // a goodbye without words is one as well
	const code = Number.isInteger(said.code) ? said.code : 0;
	const nodes = Array.isArray(said.nodes) ? said.nodes.filter(node => typeof node === 'string') : [];
	return {code, reason: typeof said.reason === 'string' ? said.reason : '', final: FINAL.has(code), nodes};
}

/* The object that a packet's body is. */
function objectOf(packet, none = {}) {
	try {
		const said = packet.json();
		return typeof said === 'object' && said !== null ? said : none;
	} catch {
		return none;
	}
}

// ---- what the server says of streams: who believes the half of an answer has holes that nobody tells him of

/* A server that is right does not say that: the connection ends, and the next one begins. */
function must(isRight, what) {
	if (!isRight)
		throw new CometError('protocol', `the server sent ${what}`);
}

const isPosition = n => Number.isSafeInteger(n) && n >= 0;
const isCount = n => n === undefined || isPosition(n);
const isText = text => text === undefined || typeof text === 'string';

/* Where a stream goes on: of `user` in op 8, or of a member of op 19. */
function mustBePlace(said, what) {
	must(isPosition(said?.at) && typeof said.gap === 'boolean' && isCount(said.replay) && isCount(said.reload_ms), what);
}

/* The members of op 19, one for each room that was asked for. */
function answersTo(asked, reply) {
	const what = 'an answer to JOIN that is none', {rooms, error, reason} = objectOf(reply);
	must(reply.op === Op.JOIN_REPLY, what);
	const said = error === undefined ? rooms : asked.map(({id}) => ({id, error, reason}));
	must(Array.isArray(said) && said.length === asked.length, what);
	for (const [i, member] of said.entries()) {
		must(member?.id === asked[i].id, what);
		if (member.error === undefined)
			mustBePlace(member, what);
		else
			must(isPosition(member.error) && isText(member.reason) && isCount(member.retry_ms), what);
	}
	return said;
}

/* A NOTICE. Newer servers may say more than we know. */
function noticeOf(packet) {
	const what = 'a NOTICE that is none', said = objectOf(packet, null);
	must(said !== null && !Array.isArray(said), what);
	const {room, at, gap, left, by, reload_ms: wait} = said;
	must(isText(left) && (gap === undefined || typeof gap === 'boolean'), what);
	must(by === undefined || typeof room === 'string' && room !== USER && room.length <= LONGEST_ROOM && isPosition(at), what);
	must(gap !== true || typeof room === 'string' && isPosition(at) && isCount(wait), what);
	return said;
}

/* A function of the application that throws keeps nothing else from going on; its error goes where uncaught errors go. */
function isolated(fn) {
	try {
		fn();
	} catch (error) {
		queueMicrotask(() => { throw error; });
	}
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
	#opening = null; // the attempt that is under way, or has become the socket
	#seq = 0;
	#pending = new Map(); // seq → {resolve, reject, now, timer}
	#heardAt = 0; // when something came last
	#waiters = []; // calls that wait for the next time that we are online
	#attempt = 0;
	#timer = null; // of the phase that we are in: deadline, back-off or next heartbeat
	#onlineSince = 0;
	#ended = null; // why we are closed
	#sentAwayBy = null; // the goodbye that ended the connection before
	#room; #accepts;
	#old = null; // {socket, timer, knowsStreams}: the connection to a server that goes away, which still pushes
	#roomOf = null; // the room and the operations that the token of this connection named
	#acceptsOf = null;
	#streams; // the option, or null
	#rooms = new Map(); // id → {position, last, ticket, waiting, isIn, isStale, isLed, timer, asked}: what join() has asked for, or a back end
	#loading = null; // a promise of positions of the time before, ...
	#kept = {}; // ... and these, once they were loaded, with those of rooms that the server has taken us out of
	#saving = null; // timer
	#acking = null; // timer
	#maxBody = 0; // of a JOIN; 0: the server knows no streams
	#maxRooms = 0;
	#wake = () => this.#state === 'waiting' && this.#sleep(delayOf(0, this.#options.backoff));

	constructor(url, options = {}) {
		this.#options = {...DEFAULTS, ...options, url, backoff: {...DEFAULTS.backoff, ...options.backoff}};
		this.#WebSocket = socketClass(options.WebSocket);
		this.#room = this.#options.room;
		this.#accepts = new Set(this.#options.accepts);
		this.#streams = this.#options.streams ? {...this.#options.streams} : null;
		if (this.#streams !== null)
			this.#rooms.set(USER, {position: undefined, waiting: [], isIn: false, isStale: false, timer: null, asked: null});
	}

	get state() { return this.#state; }
	get room() { return this.#room; }
	get accepts() { return [...this.#accepts]; }
	/* Of each room the number of the last push that was delivered: of those that are joined, 0 where none is known yet; of those that were loaded
	 * and not joined since; and of those that the server has ended. Of '', the user's stream, where that is kept. Not of a room whose state is
	 * to be loaded after a gap: who is started again before that would never load it. */
	get positions() {
		const here = [...this.#rooms].filter(
			([room, {position, isStale}]) => room === USER ? position > 0 : !isStale || !this.#streams.state);
		return {...this.#kept, ...Object.fromEntries(here.map(([room, {position}]) => [room, position ?? this.#kept[room] ?? 0]))};
	}
	/* Those that nobody here has asked for at last: a server lets us into fewer by JOIN. */
	get #joinedRooms() {
		const led = room => this.#rooms.get(room).isLed ? 1 : 0;
		return [...this.#rooms.keys()].filter(room => room !== USER).sort((a, b) => led(a) - led(b));
	}

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
		if (this.#acking !== null)
			this.#ack();
		if (this.#state !== 'idle' && this.#state !== 'closed')
			this.#end(new CometError('closed', 'closed by close()'));
	}

	/* A packet with an operation of the application, for the back end; resolves with the server's receipt. */
	request(op, body = '') {
		const bytes = bytesOf(body);
		const most = op === Op.AUTH ? LONGEST_TOKEN : this.#maxBody || this.#options.maxBody;
		if (bytes.length > most)
			return Promise.reject(new RangeError(`a body of ${bytes.length} bytes, the server takes ${most}`));
		if (this.#state !== 'online')
			return Promise.reject(new CometError('lost', 'not online'));
		return this.#ask(op, bytes);
	}

	/* Send a new token before the old one expires; jwt or token is then a function. Resolves when the new one counts. */
	async renew() {
		const reply = await this.request(Op.AUTH, this.#makeToken(await this.#askForToken()));
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

	/* Join a room, now and after each reconnect: from the position in it that is known, `since` or one that was stored; without any
	 * from now on, or with the `last` so many pushes. `ticket`: a signed token for it, or a function that is asked for one. Resolves with the
	 * server's answer; rejects with code 'refused' if the room may not be joined. */
	join(room, {since, last, ticket} = {}) {
		if (this.#streams === null)
			throw new TypeError('join() needs the option streams');
		if (room === USER)
			throw new TypeError('the stream of the user is joined by itself');
		const known = this.#forget(room);
		const waiting = known?.waiting ?? [];
		this.#rooms.set(room, {
			position: since ?? known?.position, last, ticket, waiting, isIn: false, isLed: false, timer: null, asked: null,
			isStale: since === undefined && known?.isStale === true}); // what is missing is not there by that
		const joined = quiet(new Promise((resolve, reject) => waiting.push({resolve, reject})));
		if (this.#state === 'online')
			this.#joinAll([room]);
		return joined;
	}

	/* Leave these rooms, or all that were joined. */
	leave(...rooms) {
		const named = rooms.length > 0 ? rooms.filter(room => room !== USER) : this.#joinedRooms;
		for (const room of named) {
			this.#letGo(room, new CometError('refused', 'left again'));
			delete this.#kept[room];
		}
		if (this.#state !== 'online' || this.#maxBody === 0)
			return Promise.resolve(); // the next connection does not join them
		return quiet(Promise.all(pack(named.map(room => JSON.stringify(room)), this.#maxBody).map(body =>
			this.request(Op.LEAVE, body).catch(error => {
				if (error.code !== 'lost')
					throw error; // with the connection they are left
			}))));
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

	async #open() {
		const opening = this.#opening = {}, {timeout} = this.#options;
		this.#become('connecting');
		if (opening !== this.#opening)
			return; // a listener has closed us, and perhaps opened again
		this.#after(timeout, () => this.#lose(new CometError('timeout', 'no token in time')));
		let {url} = this.#options, given, socket;
		try {
			url = typeof url === 'function' ? url(this.#sentAwayBy) : url;
			given = await this.#askForToken(); // before the server waits for it, which is not for long
		} catch (error) {
			if (opening === this.#opening)
				this.#lose(error); // it is asked again
			return;
		}
		if (opening !== this.#opening)
			return; // given up while we waited for it
		this.#after(timeout, () => this.#lose(new CometError('timeout', 'no connection in time')));
		try {
			socket = new this.#WebSocket(String(url));
		} catch (error) {
			this.#end(error); // no URL at all, or one that the page may not use
			return;
		}
		this.#socket = socket;
		socket.binaryType = 'arraybuffer';
		// Events of a socket that we have given up do not count any more.
		const mine = fn => event => socket === this.#socket && fn(event);
		socket.onopen = mine(() => this.#authenticate(given));
		socket.onmessage = mine(event => this.#receive(event.data));
		socket.onclose = mine(event => this.#lose(new CometError('lost', `the connection was closed (${event.code})`)));
		socket.onerror = () => {}; // onclose follows
	}

	#authenticate(given) {
		const socket = this.#socket;
		let token;
		try {
			token = bytesOf(this.#makeToken(given));
		} catch (error) {
			this.#lose(error);
			return;
		}
		this.#ask(Op.AUTH, token, reply => this.#knowStreams(reply.op, objectOf(reply)))
			.then(() => socket === this.#socket && this.#beOnline(), () => {}); // else #lose has been told, or close() called
	}

	/* What the application gives, which may take its time. */
	async #askForToken() {
		const {token, jwt} = this.#options, given = token ?? jwt;
		if (this.#streams !== null && token === undefined)
			await this.#load();
		return typeof given === 'function' ? given() : given;
	}

	/* As docs/protocol.md, section 4, has it: ours, ours around a JWT, or one that is not ours to look into. */
	#makeToken(given) {
		const {mid = 0, user, key, platform, token, jwt} = this.#options;
		const isOurs = token === undefined, us = user === undefined ? {mid} : {user};
		this.#roomOf = isOurs ? this.#room : this.#options.room;
		this.#acceptsOf = new Set(isOurs ? this.#accepts : this.#options.accepts);
		if (!isOurs)
			return given;
		const who = jwt === undefined ? us : {token: given};
		const streams = this.#streams === null ? {} : {streams: this.#askForUser()};
		return JSON.stringify({...who, key, room_id: this.#room, platform, accepts: [...this.#accepts], ...streams});
	}

	#askForUser() {
		const entry = this.#rooms.get(USER);
		entry.position ??= this.#kept[USER];
		if (entry.position > 0)
			return {user: entry.position};
		return this.#streams.unacked ? {user: 'unacked'} : {};
	}

	#knowStreams(op, {v, max_body: maxBody, max_rooms: maxRooms, user}) {
		const what = 'an answer to AUTH that is none', isKnown = this.#streams !== null && v === 1;
		must(op === Op.AUTH_REPLY && (!isKnown || isPosition(maxBody) && isPosition(maxRooms)), what);
		if (isKnown && user !== undefined)
			mustBePlace(user, what);
		this.#maxBody = isKnown ? maxBody : 0;
		this.#maxRooms = isKnown ? Math.min(maxRooms, MOST_ROOMS) : 0;
		if (this.#streams === null)
			return;
		const entry = this.#rooms.get(USER), since = entry.position || undefined;
		if (isKnown && user !== undefined)
			this.#arrive(USER, user, since);
		else if (since !== undefined)
			this.#miss(USER, {at: 0}); // it is not kept any more, or not there
	}

	#beOnline() {
		const socket = this.#socket;
		this.#onlineSince = Date.now();
		// With a key the server closes it, soon after the key has moved. Without one each push would come on both.
		if (!this.#options.key && this.#options.token === undefined)
			this.#part();
		this.#become('online');
		if (socket !== this.#socket)
			return; // a listener has closed us
		this.#beat();
		this.#catchUp().then(() => {
			if (socket !== this.#socket)
				return;
			for (const waiter of this.#waiters.splice(0))
				waiter.resolve();
			const rooms = this.#joinedRooms; // a listener asks for others by itself
			this.#emit('online', {room: this.#room});
			if (socket === this.#socket)
				this.#joinAll(rooms.filter(room => this.#rooms.has(room)));
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
		for (const {timer, waiting} of this.#rooms.values()) {
			clearTimeout(timer);
			for (const waiter of waiting.splice(0))
				waiter.reject(error);
		}
		clearTimeout(this.#acking);
		this.#acking = null;
		if (this.#saving !== null)
			this.#save();
		this.#become('closed');
		this.#emit('closed', {error, goodbye: error.goodbye ?? null});
	}

	/* Let go of the socket without waiting for it: on a dead network its own goodbye would take minutes. */
	#drop(error) {
		const socket = this.#socket;
		clearTimeout(this.#timer);
		this.#socket = this.#opening = null;
		for (const room of this.#rooms.values()) {
			room.isIn = false;
			room.asked = null;
		}
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
		this.#old = {socket, timer: setTimeout(() => this.#part(), SERVED_ON_MS), knowsStreams: this.#maxBody > 0};
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

	/* `now` is called with the answer before the next packet is looked at. */
	#ask(op, bytes, now = () => {}) {
		return new Promise((resolve, reject) => {
			const seq = this.#seq = this.#seq % MAX_SEQ + 1;
			const asked = {resolve, reject, now, timer: null};
			this.#pending.set(seq, asked);
			this.#expect(asked, op, this.#options.timeout);
			this.#socket.send(encode(op, bytes, seq));
		});
	}

	/* The connection is lost if the answer does not come in so many milliseconds. Whatever comes is a sign of life: a server replays what was
	 * missed before it reads the next packet, and that takes its time. */
	#expect(asked, op, ms) {
		const {timeout} = this.#options;
		asked.timer = setTimeout(() => {
			const left = this.#heardAt + timeout - performance.now();
			if (left > 0)
				this.#expect(asked, op, left);
			else
				this.#lose(new CometError('timeout', `no answer to operation ${op} within ${timeout} ms`));
		}, ms);
	}

	#unpack(data) {
		const packets = decode(data);
		for (const packet of packets)
			if (this.#streams !== null && packet.pushed && packet.ver === PUSH_VER)
				packet.unwrap();
		return packets;
	}

	#receive(data) {
		const socket = this.#socket;
		this.#heardAt = performance.now();
		try {
			for (const packet of this.#unpack(data)) {
				if (socket === this.#socket)
					this.#take(packet);
				else
					this.#takeOld(socket, packet); // or a listener has closed us
			}
		} catch (error) {
			this.#lose(error instanceof CometError ? error : new CometError('protocol', 'no binary message'));
		}
	}

	#receiveOld(data) {
		const {socket} = this.#old;
		try {
			for (const packet of this.#unpack(data))
				this.#takeOld(socket, packet);
		} catch {
			this.#part();
		}
	}

	/* Answers on it belong to requests that were given up. */
	#takeOld(socket, packet) {
		if (!packet.pushed || socket !== this.#old?.socket)
			return;
		if (!this.#old.knowsStreams || packet.ver === PUSH_VER && this.#followsOld(packet))
			this.#emit('push', packet);
	}

	#take(packet) {
		if (packet.op === Op.DISCONNECT) {
			const goodbye = goodbyeOf(packet), socket = this.#socket;
			this.#emit('goodbye', goodbye);
			if (socket !== this.#socket)
				return; // a listener has closed us
			this.#lose(new CometError('goodbye', goodbye.reason || 'the server closed', goodbye));
		} else if (packet.pushed && this.#maxBody === 0) {
			this.#emit('push', packet);
		} else if (packet.pushed && packet.ver === PUSH_VER) {
			if (this.#follows(packet))
				this.#emit('push', packet);
		} else if (packet.op === Op.NOTICE) {
			if (this.#maxBody > 0)
				this.#notice(noticeOf(packet));
		} else {
			const asked = this.#pending.get(packet.seq);
			asked?.now(packet); // where it is no answer #lose rejects it
			this.#pending.delete(packet.seq);
			clearTimeout(asked?.timer);
			asked?.resolve(packet);
		}
	}

	// -- rooms with numbers: docs/protocol.md, section 5

	/* Ask for these rooms, in as few packets as they fit into. If the connection is lost meanwhile, the next one asks again. */
	async #joinAll(rooms) {
		const wish = {}; // of several for a room the last one counts
		if (rooms.length === 0)
			return;
		if (this.#maxBody === 0) {
			for (const room of rooms)
				if (this.#rooms.has(room)) // a listener leaves others
					this.#refuse(room, 'the server knows no streams');
			return;
		}
		for (const room of rooms)
			if (this.#rooms.has(room))
				this.#rooms.get(room).asked = wish;
		const isAsked = room => this.#rooms.get(room)?.asked === wish; // on this connection, and not left
		const members = await Promise.all(rooms.map(room => this.#memberOf(room, wish)));
		rooms.forEach((room, i) => {
			if (isAsked(room) && FRAME.length + encoder.encode(members[i]).length > this.#maxBody)
				this.#refuse(room, 'its JOIN is longer than the server takes'); // it would end the connection, and so would the next one
		});
		for (const body of pack(members.filter((_, i) => isAsked(rooms[i])), this.#maxBody)) {
			const asked = JSON.parse(body).rooms;
			this.#ask(Op.JOIN, bytesOf(body), reply => this.#answered(wish, asked, answersTo(asked, reply))).catch(() => {}); // lost
		}
	}

	/* A room in the words of JOIN. Its first position, and the one after a gap, is that of the state that the application loads, if it
	 * has one; not if the wish has ended meanwhile, since another one goes on from its own. If it cannot say now it is asked again. */
	async #memberOf(room, wish) {
		const {state} = this.#streams;
		const entry = this.#rooms.get(room);
		if (entry === undefined)
			return null;
		try {
			await this.#load();
			const ticket = typeof entry.ticket === 'function' ? await entry.ticket(room) : entry.ticket;
			entry.position ??= this.#kept[room];
			if (state && (entry.isStale || !entry.position)) {
				const position = await state(room);
				if (entry.asked !== wish)
					return null;
				entry.position = position;
				entry.isIn = entry.isStale = false; // what comes before the answer comes again
			}
			return JSON.stringify({id: room, since: entry.position || undefined, last: entry.last, ticket});
		} catch (error) {
			queueMicrotask(() => { throw error; });
			if (entry.asked !== wish)
				return null;
			entry.asked = null;
			this.#later(room, this.#options.backoff.base, () => this.#joinAll([room]));
			return null;
		}
	}

	/* Once for all rooms; after a failure the next one asks again. */
	#load() {
		return this.#loading ??= (async () => this.#streams.positions?.load?.())().then(
			stored => { this.#kept = {...stored, ...this.#kept}; },
			error => { this.#loading = null; throw error; });
	}

	#answered(wish, asked, members) {
		members.forEach((said, i) => {
			const {id, since} = asked[i], entry = this.#rooms.get(id);
			if (entry?.asked !== wish)
				return; // left meanwhile, or asked for again: what comes before that answer comes again
			entry.asked = null;
			entry.isIn = false;
			if (said.error === undefined)
				this.#arrive(id, said, since);
			else if (said.retry_ms !== undefined)
				this.#later(id, Math.max(said.retry_ms, RETRY_LEAST_MS), () => this.#joinAll([id]));
			else
				this.#refuse(id, said.reason);
		});
	}

	/* We are in the room, or in the user's stream. */
	#arrive(room, said, since) {
		const entry = this.#rooms.get(room), {at, gap, replay = 0} = said;
		entry.isIn = true;
		entry.isStale = false;
		if (!gap && since === undefined) {
			entry.position = at;
			this.#saveSoon();
		}
		for (const waiter of entry.waiting.splice(0))
			waiter.resolve({at, gap, replay});
		this.#emit('joined', {room, at, gap, replay});
		if (gap)
			this.#miss(room, said);
		if (room === USER && entry.position > 0)
			this.#ackSoon(); // the last connection may have ended before it was told
	}

	/* Something is missing before what comes: the application is told, and its state loaded anew when it is our turn. */
	#miss(room, {at, reload_ms: reloadAfter = 0}) {
		const entry = this.#rooms.get(room);
		entry.position = at || entry.position; // 0 is no position
		entry.isStale = true;
		this.#saveSoon();
		if (this.#streams.state && room !== USER)
			this.#later(room, reloadAfter, () => this.#joinAll([room]));
		this.#emit('gap', {room, at, reloadAfter});
	}

	#notice(said) {
		const {room, at, gap, left, by} = said;
		if (room === USER && !gap)
			return; // nobody joins or leaves it
		if (by !== undefined)
			this.#beLed(room, at);
		if (by !== undefined || !this.#rooms.get(room)?.isIn)
			return;
		if (left !== undefined)
			this.#refuse(room, left);
		else if (gap)
			this.#miss(room, said);
	}

	/* A back end has led us into the room. With a position, or a state to load, we ask for what was missed. Where we have asked already the
	 * answer says where it goes on, and until then nothing counts: what came twice or was left out would not be told. */
	#beLed(room, at) {
		if (this.#rooms.get(room)?.asked)
			return;
		const led = [...this.#rooms.values()].filter(({isLed}) => isLed).length;
		must(this.#rooms.has(room) || led < 2 * this.#maxRooms, 'us into more rooms than it lets in');
		const known = this.#forget(room);
		const entry = {position: this.#kept[room], waiting: [], isLed: true, isStale: false, asked: null, ...known, isIn: false, timer: null};
		this.#rooms.set(room, entry);
		if (this.#streams.state || entry.position > 0 && entry.position < at) {
			this.#joinAll([room]);
			return;
		}
		this.#arrive(room, {at, gap: false}, entry.position || undefined);
	}

	/* Is it to be delivered? The rule for clients, for a push of this connection ... */
	#follows({room, number}) {
		const entry = this.#rooms.get(room);
		if (number === 0)
			return room === '' || room === this.#room || entry?.isIn === true;
		if (!entry?.isIn || number <= entry.position)
			return false;
		if (number > entry.position + 1) // the server is wrong
			this.#miss(room, {at: number - 1});
		entry.position = number;
		this.#saveSoon();
		if (room === USER)
			this.#ackSoon();
		return true;
	}

	/* Confirm what was delivered to the application, once a second, and at close(). */
	#ackSoon() {
		this.#acking ??= setTimeout(() => this.#ack(), ACK_MS);
	}

	#ack() {
		const {position, isIn} = this.#rooms.get(USER), bytes = new Uint8Array(8);
		clearTimeout(this.#acking);
		this.#acking = null;
		if (!isIn || this.#state !== 'online' || !Number.isSafeInteger(position))
			return; // the last one: it is none of a push
		new DataView(bytes.buffer).setBigUint64(0, BigInt(position));
		this.#socket.send(encode(Op.ACK, bytes, 0));
	}

	/* ... and for one of a server that goes away. */
	#followsOld({room, number}) {
		const entry = this.#rooms.get(room);
		if (number === 0)
			return true;
		if (!entry?.position || number !== entry.position + 1)
			return false; // the new connection brings it, or has brought it
		entry.position = number;
		this.#saveSoon();
		return true;
	}

	/* The room is not joined any more, and not again by ourselves. The position stays for the next JOIN, unless nobody asked for one. */
	#refuse(room, reason = '') {
		const {position, isLed} = this.#rooms.get(room);
		this.#letGo(room, new CometError('refused', reason));
		if (position > 0 && !isLed)
			this.#kept[room] = position;
		this.#emit('left', {room, reason});
	}

	#letGo(room, error) {
		for (const waiter of this.#forget(room)?.waiting ?? [])
			waiter.reject(error);
		this.#saveSoon();
	}

	#forget(room) {
		const entry = this.#rooms.get(room);
		clearTimeout(entry?.timer);
		this.#rooms.delete(room);
		return entry;
	}

	#later(room, ms, fn) {
		const entry = this.#rooms.get(room);
		if (entry === undefined)
			return;
		clearTimeout(entry.timer);
		entry.timer = setTimeout(() => {
			if (this.#state === 'online' && this.#rooms.get(room) === entry)
				fn();
		}, Math.min(ms, TIMER_MAX_MS));
	}

	#saveSoon() {
		if (this.#streams?.positions?.save)
			this.#saving ??= setTimeout(() => this.#save(), SAVE_MS);
	}

	#save() {
		clearTimeout(this.#saving);
		this.#saving = null;
		isolated(() => this.#streams.positions.save(this.positions));
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

	#emit(name, detail) {
		for (const fn of [...this.#listeners.get(name) ?? []])
			isolated(() => fn(detail));
	}
}
