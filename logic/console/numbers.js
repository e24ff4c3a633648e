/* numbers: as people read them. SPDX-License-Identifier: MIT */

const whole = new Intl.NumberFormat('en', {maximumFractionDigits: 0});
const short = new Intl.NumberFormat('en', {notation: 'compact', maximumSignificantDigits: 3});

export const count = n => n < 100_000 ? whole.format(n) : short.format(n);
export const rate = n => n < 10 ? String(Math.round(n * 10) / 10) : count(n);

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/* "512 B", "1.5 kB", "20 MB" */
export function bytes(n) {
	const i = Math.min(UNITS.length - 1, n < 1000 ? 0 : Math.floor(Math.log10(n) / 3)), value = n / 1000 ** i;
	return `${value < 10 && i > 0 ? Math.round(value * 10) / 10 : whole.format(value)} ${UNITS[i]}`;
}

const digits = n => n < 99.5 ? n.toPrecision(2) : whole.format(n); // toPrecision writes 100 as 1.0e+2

export function duration(seconds) {
	if (seconds < 0.001)
		return `${Math.round(seconds * 1e6)} µs`;
	return seconds < 1 ? `${digits(seconds * 1000)} ms` : `${digits(seconds)} s`;
}
