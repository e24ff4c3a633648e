/* chart: one number over some time, as a line, and above it a thinner one of what it was at most. SPDX-License-Identifier: MIT */

const TOP = 8, GROUND = 2; // space above and below the line

const SVG = 'http://www.w3.org/2000/svg';

function node(name, attributes, parent) {
	const made = document.createElementNS(SVG, name);
	for (const [key, value] of Object.entries(attributes))
		made.setAttribute(key, value);
	parent?.append(made);
	return made;
}

/* The smallest of 1, 2, 5, 10, 20 ... that is not below. */
export function roundUp(value) {
	const power = 10 ** Math.floor(Math.log10(value));
	return [1, 2, 5, 10].map(step => step * power).find(step => step >= value * 0.999999) ?? 10 * power;
}

export class Chart {
	#host; #name; #format; #samples = []; // {t, value, most}; value null: unknown
	#newest; // the last of them
	#span = {ms: 1, gap_ms: 1, words: ''};
	#highest = 0; // of all of them
	#svg; #ceiling; #ground; #area; #peaks; #line; #dot; #mark; #top;
	#onPick; #least;

	/* format: of a value, to words. onPick(sample or null): the pointer is at that one. least: the scale does not end below. */
	constructor(host, {name, format, onPick = () => {}, least = 1}) {
		this.#host = host;
		this.#name = name;
		this.#format = format;
		this.#onPick = onPick;
		this.#least = least;
		this.#svg = node('svg', {role: 'img'}, host);
		this.#ceiling = node('line', {class: 'ceiling', x1: 0, y1: TOP, y2: TOP}, this.#svg);
		this.#ground = node('line', {class: 'ground', x1: 0}, this.#svg);
		this.#area = node('path', {class: 'area'}, this.#svg);
		this.#peaks = node('path', {class: 'peaks'}, this.#svg);
		this.#line = node('path', {class: 'line'}, this.#svg);
		this.#mark = node('line', {class: 'mark', visibility: 'hidden'}, this.#svg);
		this.#dot = node('circle', {class: 'dot', r: 2.5, visibility: 'hidden'}, this.#svg);
		this.#top = document.createElement('span');
		this.#top.className = 'top';
		this.#top.setAttribute('aria-hidden', 'true');
		host.append(this.#top);
		host.addEventListener('pointermove', event => this.#pick(event.offsetX));
		host.addEventListener('pointerleave', () => this.#pick(null));
		new ResizeObserver(() => this.#draw()).observe(host);
	}

	/* The list stays the caller's. span: {ms: how long it is, gap_ms: after so long without a sample the line breaks, words: its name} */
	show(samples, span) {
		if (samples === this.#samples && samples.at(-1) === this.#newest && span === this.#span)
			return; // those of a day come once a minute
		this.#samples = samples;
		this.#newest = samples.at(-1);
		this.#span = span;
		this.#highest = samples.reduce((highest, {value, most}) => Math.max(highest, value ?? 0, most ?? 0), 0);
		this.#draw();
	}

	#x(t) {
		return this.#host.clientWidth * (1 - (this.#samples.at(-1).t - t) / this.#span.ms);
	}

	#y(value) {
		const height = this.#host.clientHeight;
		return height - GROUND - (height - TOP - GROUND) * value / roundUp(Math.max(this.#highest, this.#least));
	}

	/* Runs of samples with no gap in between. */
	#runs() {
		const runs = [];
		let last = null;
		for (const sample of this.#samples) {
			if (sample.value !== null && (last === null || sample.t - last.t > this.#span.gap_ms))
				runs.push([]);
			if (sample.value !== null)
				runs.at(-1).push(sample);
			last = sample.value === null ? null : sample;
		}
		return runs;
	}

	/* For those who do not see it. */
	#describe() {
		const now = this.#samples.at(-1)?.value ?? null;
		this.#svg.setAttribute('aria-label', `${this.#name} over ${this.#span.words}: now ` +
			`${now === null ? 'unknown' : this.#format(now)}, at most ${this.#format(this.#highest)}`);
	}

	#draw() {
		const width = this.#host.clientWidth, height = this.#host.clientHeight, ground = height - GROUND;
		this.#describe();
		if (width === 0)
			return;
		let line = '', area = '', peaks = '';
		for (const run of this.#runs()) {
			const points = run.map(({t, value}) => `${this.#x(t).toFixed(1)},${this.#y(value).toFixed(1)}`);
			if (run.some(({value, most}) => most > value))
				peaks += `M${run.map(({t, most}) => `${this.#x(t).toFixed(1)},${this.#y(most).toFixed(1)}`).join('L')}`;
			line += `M${points.join('L')}`;
			area += `M${this.#x(run[0].t).toFixed(1)},${ground}L${points.join('L')}L${this.#x(run.at(-1).t).toFixed(1)},${ground}Z`;
		}
		this.#line.setAttribute('d', line);
		this.#area.setAttribute('d', area);
		this.#peaks.setAttribute('d', peaks);
		this.#ceiling.setAttribute('x2', width);
		for (const [key, value] of Object.entries({x2: width, y1: ground, y2: ground}))
			this.#ground.setAttribute(key, value);
		const now = this.#samples.at(-1) ?? {value: null};
		this.#dot.setAttribute('visibility', now.value === null ? 'hidden' : 'visible');
		if (now.value !== null) {
			this.#dot.setAttribute('cx', this.#x(now.t));
			this.#dot.setAttribute('cy', this.#y(now.value));
		}
		this.#top.textContent = this.#format(roundUp(Math.max(this.#highest, this.#least)));
	}

	#pick(x) {
		const known = x === null ? [] : this.#samples.filter(({value}) => value !== null);
		if (known.length === 0) {
			this.#mark.setAttribute('visibility', 'hidden');
			this.#onPick(null);
			return;
		}
		const near = known.reduce((best, sample) => Math.abs(this.#x(sample.t) - x) < Math.abs(this.#x(best.t) - x) ? sample : best);
		const at = this.#x(near.t);
		for (const [key, value] of Object.entries({x1: at, x2: at, y1: TOP, y2: this.#host.clientHeight, visibility: 'visible'}))
			this.#mark.setAttribute(key, value);
		this.#onPick(near);
	}
}
