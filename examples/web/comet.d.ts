/* Types of comet.js. SPDX-License-Identifier: MIT */

export type Body = string | ArrayBuffer | ArrayBufferView;

/* table: from common/wire/ops.def by `make docs` */
export declare const Op: Readonly<{
	HEARTBEAT: 2;
	HEARTBEAT_REPLY: 3;
	DISCONNECT: 6;
	AUTH: 7;
	AUTH_REPLY: 8;
	RAW: 9;
	CHANGE_ROOM: 12;
	CHANGE_ROOM_REPLY: 13;
	SUB: 14;
	SUB_REPLY: 15;
	UNSUB: 16;
	UNSUB_REPLY: 17;
	JOIN: 18;
	JOIN_REPLY: 19;
	LEAVE: 20;
	LEAVE_REPLY: 21;
	NOTICE: 22;
}>;
/* end of table */

/** Codes of a goodbye; the goodbye's `final` says whether the client stays away by itself. */
/* table: from common/wire/goodbye.def by `make docs` */
export declare const Goodbye: Readonly<{
	KICKED: 1;
	REPLACED: 2;
	SLOW_CONSUMER: 3;
	DRAINING: 4;
	AUTH_REFUSED: 5;
	NO_LOGIC: 6;
	CONNECTIONS: 7;
	PER_IP: 8;
	HEARTBEAT_TIMEOUT: 9;
	BAD_ROOM: 10;
	NO_THREAD: 11;
	NO_MEMORY: 12;
	AUTH_EXPIRED: 13;
	HANDSHAKES: 20;
	CONNECTS: 21;
	CONNECTS_PER_IP: 22;
	ACCEPTS: 23;
	BANNED: 24;
	PER_USER: 25;
	REVOKED: 26;
}>;
/* end of table */

export interface CometOptions {
	/** The user; 0 is nobody. */
	mid?: number;
	/** The user's name, in place of `mid`. */
	user?: string;
	/** Names this connection: a second one with the same key replaces it. Empty: the server makes one. */
	key?: string;
	/** The room to start in, `type://id`. */
	room?: string;
	platform?: string;
	/** Operations of pushes that are wanted; [1000] if not given. Pushes to the room come anyway. */
	accepts?: number[];
	/** A signed token, for a server with auth.mode=jwt, which identifies the user in place of `mid`; a function is asked
	 * before each connection, and by renew(). */
	jwt?: string | (() => string | Promise<string>);
	/** The token as the server wants it, in place of one made from these options; a function is asked before each connection.
	 * Give `room` and `accepts` beside it if they are in it, so that later changes can be told from them. */
	token?: Body | (() => Body | Promise<Body>);
	/** Milliseconds between heartbeats (30000). */
	heartbeat?: number;
	/** Milliseconds for a connection to come up, and for each answer (10000). */
	timeout?: number;
	/** Longest body that request() sends (4096). */
	maxBody?: number;
	backoff?: Partial<Backoff>;
	/** The class to use where there is no global WebSocket: Node before version 22. */
	WebSocket?: unknown;
}

export interface Backoff {
	/** Bound of the first wait, in milliseconds (3000) ... */
	base: number;
	/** ... by which it grows each further time (1.8) ... */
	factor: number;
	/** ... and where that ends (300000). */
	max: number;
	/** A connection that lasted so long starts it over (10000). */
	stable: number;
}

/** The server's words before it closed: op 6. */
export interface GoodbyeWords {
	/** 0 where it gave none. */
	code: number;
	reason: string;
	/** The same client would fare no better by coming back. */
	final: boolean;
	/** Other servers, when this one goes away: addresses of TCP listeners, `host:port`. */
	nodes: string[];
}

export declare class CometError extends Error {
	code: 'lost' | 'timeout' | 'goodbye' | 'closed' | 'protocol' | 'unchanged';
	goodbye: GoodbyeWords | null;
}

export declare class Packet {
	op: number;
	seq: number;
	ver: number;
	body: Uint8Array;
	pushed: boolean;
	text(): string;
	json(): unknown;
}

export type State = 'idle' | 'connecting' | 'online' | 'waiting' | 'closed';

export interface CometEvents {
	/** A push. */
	push: Packet;
	/** Connected, authenticated, and in the room. */
	online: {room: string};
	/** The connection is gone; another attempt follows in `delay` milliseconds. A server that goes away (code 4) still pushes then,
	 * until the next one is there; with a key or a token until it closes the old one, so that nothing is missed. A push to a
	 * room or to all may then come twice. */
	lost: {error: Error; goodbye: GoodbyeWords | null; delay: number};
	/** The server said goodbye; `lost` or `closed` follows. */
	goodbye: GoodbyeWords;
	/** No further attempt: close() was called, or the goodbye was final. */
	closed: {error: Error; goodbye: GoodbyeWords | null};
	/** A heartbeat was answered: people in the room, over all servers. */
	heartbeat: {people: number};
	state: State;
}

export declare class Comet {
	/** @param url comet's address, such as `ws://127.0.0.1:3102/sub`; a function is asked before each connection, and told the
	 * goodbye that ended the one before, if there was one. */
	constructor(url: string | URL | ((goodbye: GoodbyeWords | null) => string | URL), options?: CometOptions);
	readonly state: State;
	readonly room: string;
	readonly accepts: number[];
	/** Calls `fn` for each such event; the result ends that. */
	on<K extends keyof CometEvents>(name: K, fn: (event: CometEvents[K]) => void): () => void;
	/** Come online and stay so until close(). Resolves when it is online; rejects when it never can be. */
	connect(): Promise<void>;
	close(): void;
	/** Remembered over reconnects, as the next two are; resolves once the server has it. Empty: no room. */
	changeRoom(room?: string): Promise<void>;
	subscribe(...ops: number[]): Promise<void>;
	unsubscribe(...ops: number[]): Promise<void>;
	/** A packet for the back end; resolves with the receipt of the server. Rejects when it is not online. */
	request(op: number, body?: Body): Promise<Packet>;
	/** Send a new token before the old one expires. Rejects with code `unchanged` if the old one still counts. */
	renew(): Promise<void>;
	/** Resolves with the number of people in the room. The client sends heartbeats by itself. */
	heartbeat(): Promise<number>;
}

/** One packet as the payload of a WebSocket message. */
export declare function encode(op: number, body?: Body, seq?: number, ver?: number): Uint8Array;
/** All packets of one message; throws a CometError on a malformed one. */
export declare function decode(data: ArrayBuffer | ArrayBufferView): Packet[];
/** Milliseconds to wait before attempt `n`, from 0. */
export declare function delayOf(n: number, backoff?: Omit<Backoff, 'stable'>, random?: () => number): number;
