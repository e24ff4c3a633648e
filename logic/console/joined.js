/* joined: the rooms with numbers in the panel: where we are in each, what is missing, and what is kept once more.
 * SPDX-License-Identifier: MIT */
const REPLAYED = 10;
const USER = ''; // the user's stream, which is joined and left by nobody

function made(tag, className, text = '') {
	const element = document.createElement(tag);
	element.className = className;
	element.textContent = text;
	return element;
}

function button(name, text, label, onPress) {
	const one = made('button', `quiet ${name}`, text);
	one.type = 'button';
	one.setAttribute('aria-label', label);
	one.addEventListener('click', onPress);
	return one;
}

/* They outlive the connections of the panel: the next one goes on where the last one was. */
export class JoinedRooms {
	#list; #host; #kept = []; #comet = null;
	#rooms = new Map(); // id → {row, position, number, state, buttons}

	/* list: the <ul>, in a host that is hidden while there are none. */
	constructor(list, host) {
		this.#list = list;
		this.#host = host;
	}

	/* The types of rooms that the server keeps. */
	set kept(types) { this.#kept = types; }
	get hasKept() { return this.#kept.length > 0; }
	isKept(room) { return this.#kept.includes(room.split('://', 1)[0]) && room.includes('://'); }
	get names() { return [...this.#rooms.keys()].filter(room => room !== USER); }

	/* A new connection, to be joined to all of them, and to these. */
	follow(comet, more) {
		this.#comet = comet;
		const mine = fn => detail => comet === this.#comet && fn(detail);
		comet.on('state', mine(() => this.#update()));
		comet.on('joined', mine(({room, gap, replay}) => !gap &&
			this.#say(room, 'good', replay === 0 ? 'joined, nothing was missed' : `joined, ${replay} that were missed come`)));
		comet.on('gap', mine(({room, at}) => this.#say(room, 'bad', `gap: something is missing before ${at + 1}`)));
		comet.on('left', mine(({room, reason}) => this.#say(room, 'bad', `not joined: ${reason || 'the server does not let us in'}`)));
		comet.on('push', mine(({room, number}) => number > 0 && this.#move(room)));
		for (const room of new Set([...this.names, ...more]))
			this.#ask(room, {since: this.#row(room).position || undefined});
	}

	join(room) {
		this.#row(room);
		this.#ask(room);
	}

	#ask(room, wish = {}) {
		this.#say(room, 'wait', 'joining');
		this.#comet.join(room, wish).catch(() => {}); // the events tell
	}

	/* From no position: the last ones come again. */
	#replay(room) {
		this.#ask(room, {since: 0, last: REPLAYED});
	}

	#leave(room) {
		this.#rooms.get(room).row.remove();
		this.#rooms.delete(room);
		this.#host.hidden = this.#rooms.size === 0;
		this.#comet?.leave(room).catch(() => {});
	}

	#row(room) {
		if (this.#rooms.has(room))
			return this.#rooms.get(room);
		const row = made('li', ''), number = made('span', 'mono', '–'), state = made('span', 'state');
		const replay = button('replay', 'Replay', `Replay the last ${REPLAYED} of ${room}`, () => this.#replay(room));
		const leave = button('leave', 'Leave', `Leave ${room}`, () => this.#leave(room));
		row.dataset.room = room;
		const place = made('span', 'place', 'position ');
		place.append(number);
		row.append(made('span', 'name', room || 'pushes to the user'), place, state, ...room === USER ? [] : [replay, leave]);
		this.#list.append(row);
		this.#host.hidden = false;
		const entry = {row, number, state, replay, position: 0};
		this.#rooms.set(room, entry);
		return entry;
	}

	#say(room, state, words) {
		const entry = this.#row(room); // or a back end has led us there
		entry.state.dataset.state = state;
		entry.state.textContent = words;
		this.#move(room);
		this.#update();
	}

	#move(room) {
		const entry = this.#rooms.get(room), position = this.#comet.positions[room];
		if (position > 0 && entry !== undefined) {
			entry.position = position;
			entry.number.textContent = String(position);
		}
	}

	/* Without a connection there is nothing to replay. */
	#update() {
		const online = this.#comet?.state === 'online';
		for (const {replay} of this.#rooms.values())
			replay.disabled = !online;
	}
}
