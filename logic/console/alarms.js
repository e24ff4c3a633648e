/* alarms: what is wrong, in the words of the alert rules: examples/monitoring/rules.yml has each under this name, and a test holds the two
 * together. Rates are those of the last five minutes, as far as this page has been open. SPDX-License-Identifier: MIT */

const WINDOW_MS = 5 * 60 * 1000;
const EVERY_MS = 10_000; // a scrape is kept so often

const rateBy = (name, label, most, but = []) => window => window.byLabel(name, label)
	.map(({key, growth}) => ({label: key, n: growth / window.seconds})).filter(({label, n}) => n > most && !but.includes(label));
const growthBy = (name, label, but = []) => window => window.byLabel(name, label)
	.map(({key, growth}) => ({label: key, n: growth})).filter(({label, n}) => n > 0 && !but.includes(label));
const growth = (...names) => window => [{n: names.reduce((sum, name) => sum + window.growth(name), 0)}].filter(({n}) => n > 0);
const rate = (name, most = 0) => window => [{n: window.growth(name) / window.seconds}].filter(({n}) => n > most);
const now = (name, most) => window => [{n: window.now.sum(name) ?? 0}].filter(({n}) => n > most);
const share = (of, all) => window => [{n: (window.now.sum(of) ?? 0) / (window.now.sum(all) || Infinity)}].filter(({n}) => n > 0.85);

/* name: of the rule; words: {n} the number, {label} the reason; page: it wakes somebody; find: a window → what it holds for. */
export const RULES = [
	{name: 'CometWithoutRedis', page: true, words: 'has no connection to Redis', find: ({now: metrics}) =>
		metrics.sum('comet_redis_connected_total') > 0 && metrics.sum('comet_redis_connected_total') <= metrics.sum('comet_redis_lost_total')
			? [{n: 0}] : []},
	{name: 'CometAuthBackend', page: true, words: 'gets no good answer from auth.url: {label}', find: window =>
		growthBy('comet_auth_failures_total', 'cause')(window).filter(({label}) => label.startsWith('webhook_'))},
	{name: 'CometLogicFailed', page: true, words: 'gets no answer from logic', find: rate('comet_logic_failed_total')},
	{name: 'CometAcceptPaused', page: true, words: 'stopped accepting: a limit of the machine was hit', find: growth('comet_accept_paused_total')},
	{name: 'CometThreadsFailed', page: true, words: 'could not start threads: {label}', find: growthBy('comet_threads_failed_total', 'cause')},
	{name: 'CometPushesFailed', page: true, words: 'does not accept {n} pushes a second', find: rate('comet_pushes_failed_total')},
	{name: 'CometPushGap', page: true, words: 'lost {n} pushes that it was too late to read', find: growth('comet_push_gap_total')},
	{name: 'CometSlowConsumers', words: 'closes {n} clients a second that read too slowly', find: window =>
		rateBy('comet_closed_total', 'reason', 0.1)(window).filter(({label}) => label === 'slow_consumer')},
	{name: 'CometMessagesDropped', words: 'dropped {n} messages: {label}', find: growthBy('comet_dropped_total', 'reason', ['closed', 'gone'])},
	{name: 'CometAuthRefused', words: 'refuses {n} authentications a second, over a fifth of all', find: window =>
		rate('comet_auth_refused_total', 1)(window).filter(({n}) => n > 0.2 * (n + window.growth('comet_authenticated_total') / window.seconds))},
	{name: 'CometApiRefused', words: 'refuses {n} HTTP calls a second: {label}', find: rateBy('comet_http_refused_total', 'reason', 0.1)},
	{name: 'CometRefused', words: 'turns clients away: {label}', find: growthBy('comet_refused_total', 'reason', ['draining'])},
	{name: 'CometNearItsLimit', words: 'holds {n} of the connections that it may', percent: true,
		find: share('comet_connections', 'comet_connections_limit')},
	{name: 'CometFilesNearTheirLimit', words: 'has {n} of its files open', percent: true, find: share('process_open_fds', 'process_max_fds')},
	{name: 'CometRedisLost', words: 'lost {n} connections to Redis', find: growth('comet_redis_lost_total')},
	{name: 'CometCertificateEnds', words: 'has a certificate with {n} days left', find: ({now: metrics}) =>
		[{n: ((metrics.sum('comet_certificate_ends_seconds') || Infinity) - Date.now() / 1000) / 86400}].filter(({n}) => n < 7)},
	{name: 'CometRedisEvicts', words: 'has a Redis that may drop data: set its maxmemory-policy to noeviction', find: now('comet_redis_evicts', 0)},
	{name: 'CometClocksDiffer', words: 'has another clock than Redis: set both by NTP', find: now('comet_clocks_differ', 0)},
	{name: 'CometRequestsLost', words: 'left {n} requests of comets unanswered', find: growth('comet_requests_lost_total', 'comet_requests_expired_total')},
	{name: 'CometPushBacklog', words: '{n} pushes wait for a thread', find: now('comet_push_jobs', 1000)},
	{name: 'CometUnsent', words: '{n} disconnects and renewals wait for logic', find: now('comet_logic_unsent', 100)},
	{name: 'CometLogLinesLost', words: 'could not write {n} log lines', find: growth('comet_log_lines_lost_total')},
];

/* The scrapes of the last five minutes. */
export class Window {
	#kept = []; // {t, metrics}

	add(t, metrics) {
		this.now = metrics;
		this.seconds = Math.max(1, (t - (this.#kept[0]?.t ?? t)) / 1000);
		if (this.#kept.length === 0 || t - this.#kept.at(-1).t >= EVERY_MS)
			this.#kept.push({t, metrics});
		while (this.#kept[0].t < t - WINDOW_MS)
			this.#kept.shift();
	}

	/* What this counter has grown by. One that fell is of a server that was started again: all of it is new. */
	growth(name) {
		return this.byLabel(name, '').reduce((sum, {growth: grown}) => sum + grown, 0);
	}

	/* The same for each value of a label: [{key, growth, value}]. */
	byLabel(name, label) {
		const sums = new Map();
		const add = (samples, which) => samples.forEach(({labels, value}) => {
			const key = labels[label] ?? '';
			sums.set(key, {before: 0, after: 0, ...sums.get(key), [which]: (sums.get(key)?.[which] ?? 0) + value});
		});
		add(this.#kept[0].metrics.list(name), 'before');
		add(this.now.list(name), 'after');
		return [...sums].map(([key, {before, after}]) => ({key, value: after, growth: after >= before ? after - before : after}));
	}
}

const number = n => n < 10 ? String(Math.round(n * 100) / 100) : String(Math.round(n));

/* [{name, page, words}], those first that wake somebody. */
export function alarmsOf(window) {
	return RULES.flatMap(({name, page = false, words, percent = false, find}) => find(window).map(({n, label = ''}) => ({
		name, page, words: words.replace('{n}', percent ? `${Math.round(n * 100)} %` : number(n)).replace('{label}', label),
	}))).sort((a, b) => b.page - a.page);
}
