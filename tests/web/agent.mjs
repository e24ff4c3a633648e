/* agent: comet.js in Node, led by a test: commands come as JSON lines on stdin, events and results go as JSON lines to
 * stdout. {"id":1,"call":"changeRoom","args":["live://1"]}. SPDX-License-Identifier: MIT */
import {createRequire} from 'node:module';
import {createInterface} from 'node:readline';
import {Comet} from '../../examples/web/comet.js';

const require = createRequire(import.meta.url); // what import does not know: NODE_PATH, where Debian has its modules
const {url, deflate = false, options = {}} = JSON.parse(process.argv[2]);
const Ws = require('ws');
let socket = null;

class Socket extends Ws {
	constructor(address) {
		super(address, {perMessageDeflate: deflate, rejectUnauthorized: false});
		socket = this;
	}
}

const say = line => process.stdout.write(`${JSON.stringify(line)}\n`);
let jwts = options.jwts; // one for each time that it is asked, the last one again and again
if (jwts)
	options.jwt = async () => jwts.length > 1 ? jwts.shift() : jwts[0];
const comet = new Comet(url, {WebSocket: Socket, ...options});

for (const name of ['online', 'lost', 'closed', 'goodbye', 'heartbeat', 'push', 'joined', 'gap', 'left'])
	comet.on(name, detail => say({event: name, ...shown(name, detail)}));

function shown(name, detail) {
	if (name === 'push')
		return {op: detail.op, ver: detail.ver, seq: detail.seq, room: detail.room, number: detail.number, body: detail.text()};
	if (name === 'online')
		return {...detail, extensions: socket.extensions};
	if (name === 'joined' || name === 'gap' || name === 'left')
		return detail;
	return {...detail, error: detail.error?.message};
}

async function obey({id, call, args = []}) {
	try {
		if (call === 'terminate')
			socket.terminate(); // as a network that is gone
		const result = call === 'terminate' ? null : call === 'setTokens' ? (jwts = args, null) : await comet[call](...args);
		say({id, result: result?.body ? {op: result.op, body: result.text()} : result ?? null});
	} catch (error) {
		say({id, error: error.code ?? error.name, message: error.message});
	}
}

createInterface({input: process.stdin}).on('line', line => obey(JSON.parse(line))).on('close', () => process.exit(0));
