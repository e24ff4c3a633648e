/* server: the page's questions to the server, with the API key where one is needed. The key stays in this tab's session storage.
 * SPDX-License-Identifier: MIT */

const STORE = 'comet.api_key';
const TIMEOUT_MS = 8000;

export class ServerError extends Error {
	/* status: of HTTP, 0 where there was no answer at all. */
	constructor(status, message) {
		super(message);
		this.status = status;
	}
}

export const key = {
	get: () => sessionStorage.getItem(STORE),
	set: value => sessionStorage.setItem(STORE, value),
	forget: () => sessionStorage.removeItem(STORE),
};

async function ask(method, path, body) {
	const shown = key.get();
	let reply;
	try {
		reply = await fetch(path, {
			method, body, headers: shown ? {'X-Api-Key': shown} : {}, signal: AbortSignal.timeout(TIMEOUT_MS),
		});
	} catch {
		throw new ServerError(0, 'no answer');
	}
	const text = await reply.text().catch(() => { throw new ServerError(0, 'the answer broke off'); });
	if (!reply.ok)
		throw new ServerError(reply.status, messageOf(text) || `HTTP ${reply.status}`);
	return text;
}

function messageOf(text) {
	try {
		return JSON.parse(text).message;
	} catch {
		return text.trim();
	}
}

/* The data of an answer of the API; a ServerError where its code is not 0. */
async function call(method, path, body) {
	const text = await ask(method, path, body);
	let answer;
	try {
		answer = JSON.parse(text);
	} catch {
		throw new ServerError(200, 'the answer is not JSON');
	}
	if (answer.code !== 0)
		throw new ServerError(200, answer.message);
	return answer.data;
}

export const getJson = path => call('GET', path);
export const post = (path, body = '') => call('POST', path, body);

// ---- metrics

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/* One scrape: name → list of {labels, value}. */
export class Metrics {
	#samples = new Map();

	constructor(text) {
		for (const line of text.split('\n')) {
			const found = line[0] === '#' ? null : SAMPLE.exec(line);
			if (!found)
				continue;
			const labels = Object.fromEntries([...(found[2] ?? '').matchAll(LABEL)].map(label => [label[1], label[2]]));
			if (!this.#samples.has(found[1]))
				this.#samples.set(found[1], []);
			this.#samples.get(found[1]).push({labels, value: Number(found[3])});
		}
	}

	list(name) {
		return this.#samples.get(name) ?? [];
	}

	/* The sum over all labels; null where there is no such metric. */
	sum(name) {
		return this.list(name).length > 0 ? this.list(name).reduce((sum, sample) => sum + sample.value, 0) : null;
	}

	/* The buckets of a histogram, all labels together: [{le, count}], cumulative, the smallest bound first. */
	buckets(name) {
		const sums = new Map();
		for (const {labels, value} of this.list(`${name}_bucket`)) {
			const le = labels.le === '+Inf' ? Infinity : Number(labels.le);
			sums.set(le, (sums.get(le) ?? 0) + value);
		}
		return [...sums].map(([le, count]) => ({le, count})).sort((a, b) => a.le - b.le);
	}
}

export async function getMetrics() {
	return new Metrics(await ask('GET', '/metrics'));
}

/* The counts between two scrapes. Counts that fell belong to a server that was started again: all of them are new. */
export function bucketsBetween(before, after) {
	const same = before.length === after.length && before.every((b, i) => b.le === after[i].le && b.count <= after[i].count);
	return same ? after.map(({le, count}, i) => ({le, count: count - before[i].count})) : after;
}

/* The bound under which this share (0 to 1) of the counts lies, interpolated in its bucket; null where nothing was counted. */
export function quantile(buckets, share) {
	const total = buckets.at(-1)?.count ?? 0;
	const wanted = share * total;
	const at = buckets.findIndex(bucket => bucket.count >= wanted);
	if (total === 0 || at < 0)
		return null;
	const {le, count} = buckets[at], below = buckets[at - 1] ?? {le: 0, count: 0};
	if (le === Infinity)
		return below.le;
	return below.le + (le - below.le) * (count > below.count ? (wanted - below.count) / (count - below.count) : 1);
}
