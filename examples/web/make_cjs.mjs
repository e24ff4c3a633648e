// Makes comet.cjs, and comet.d.cts with its types, of comet.js: for programs that say require(). `npm pack` runs it; nothing here is
// kept in the repository. SPDX-License-Identifier: MIT
import {readFileSync, writeFileSync} from 'node:fs';

const here = new URL('.', import.meta.url);
const source = readFileSync(new URL('comet.js', here), 'utf8');
const names = [...source.matchAll(/^export (?:const|function|class) (\w+)/gm)].map(found => found[1]);
if (names.length === 0 || source.match(/^(?:import|export (?!const|function|class))/m))
	throw new Error('comet.js has an import, or an export of a kind that is not known here');
writeFileSync(new URL('comet.cjs', here), `'use strict';\n${source.replace(/^export (?=const|function|class)/gm, '')}
module.exports = {${names.join(', ')}};\n`);
writeFileSync(new URL('comet.d.cts', here), readFileSync(new URL('comet.d.ts', here)));
