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
	ACK: 24;
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
	/** Milliseconds for a connection to come up, and in which something comes while an answer is waited for (10000). */
	timeout?: number;
	/** Longest body that request() sends (4096). */
	maxBody?: number;
	backoff?: Partial<Backoff>;
	/** Ask for streams: join() and leave() work then, and what a room keeps is not missed. `true`, or how positions outlive us. */
	streams?: boolean | Streams;
	/** The class to use where there is no global WebSocket: Node before version 22. */
	WebSocket?: unknown;
}

export interface Streams {
	/** Where positions are kept over a reload of the page: `load` is asked once, `save` is called at most once a second. */
	positions?: {
		load?: () => Record<string, number> | Promise<Record<string, number>>;
		save?: (positions: Record<string, number>) => void;
	};
	/** Where no position in the user's stream is known, ask for what this `key` has not confirmed: "unacked" of docs/protocol.md. */
	unacked?: boolean;
	/** Load what the application shows of a room, and return the position that its back end read before it read that state
	 * (`GET /goim/stream/position`). Called when a room is joined for the first time, and after a gap. */
	state?: (room: string) => number | Promise<number>;
}

export interface JoinOptions {
	/** The position from which to go on: the number of the last push that was processed. */
	since?: number;
	/** So many of the newest pushes, where there is no position, or it is a gap. */
	last?: number;
	/** A signed token for this room; a function is asked before each JOIN. */
	ticket?: string | ((room: string) => string | Promise<string>);
}

export interface Joined {
	/** The pushes that come go on after this number; 0: the room has no numbers. */
	at: number;
	/** Something is missing before; the event `gap` tells, too. */
	gap: boolean;
	/** So many pushes that were missed follow. */
	replay: number;
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
	code: 'lost' | 'timeout' | 'goodbye' | 'closed' | 'protocol' | 'unchanged' | 'refused';
	goodbye: GoodbyeWords | null;
}

export declare class Packet {
	op: number;
	seq: number;
	ver: number;
	body: Uint8Array;
	pushed: boolean;
	/** Of a push, with the option `streams`: the room that it went to, or ''. */
	room: string;
	/** Its number in that room's stream; 0: it has none. */
	number: number;
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
	/** A room is joined, at first or again, by us or by the back end; the pushes that were missed follow. Here and below the room `''` is the
	 * stream of what is pushed to the user, where the server keeps that: every connection is in it. */
	joined: Joined & {room: string};
	/** Something is missing in this room: pushes go on after `at`. Load the room's state anew, in `reloadAfter` milliseconds, so that
	 * not all clients come at once; the option `state` does it. */
	gap: {room: string; at: number; reloadAfter: number};
	/** The room is not joined any more: it may not be, a ticket is over, or the back end has taken us out. */
	left: {room: string; reason: string};
}

export declare class Comet {
	/** @param url comet's address, such as `ws://127.0.0.1:3102/sub`; a function is asked before each connection, and told the
	 * goodbye that ended the one before, if there was one. */
	constructor(url: string | URL | ((goodbye: GoodbyeWords | null) => string | URL), options?: CometOptions);
	readonly state: State;
	readonly room: string;
	readonly accepts: number[];
	/** Of each room the number of the last push that was delivered: of those that are joined, 0 where none is known yet, of those that were
	 * loaded and not joined since, and of those that the server has ended. `''` is the user's stream. */
	readonly positions: Record<string, number>;
	/** Calls `fn` for each such event; the result ends that. */
	on<K extends keyof CometEvents>(name: K, fn: (event: CometEvents[K]) => void): () => void;
	/** Come online and stay so until close(). Resolves when it is online; rejects when it never can be. */
	connect(): Promise<void>;
	close(): void;
	/** Remembered over reconnects, as the next two are; resolves once the server has it. Empty: no room. */
	changeRoom(room?: string): Promise<void>;
	subscribe(...ops: number[]): Promise<void>;
	unsubscribe(...ops: number[]): Promise<void>;
	/** Join a room, now and after each reconnect, without missing what it keeps; needs the option `streams`. Resolves once it is
	 * joined; rejects with code `refused` if it may not be. */
	join(room: string, options?: JoinOptions): Promise<Joined>;
	/** Leave these rooms, or all that were joined. */
	leave(...rooms: string[]): Promise<unknown>;
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
/** Pieces of JSON as bodies `{"rooms":[…]}` of at most so many bytes. */
export declare function pack(pieces: string[], most: number): string[];
/** Milliseconds to wait before attempt `n`, from 0. */
export declare function delayOf(n: number, backoff?: Omit<Backoff, 'stable'>, random?: () => number): number;
