// Reads a description from its input, says "valid", or its fault. Run by test_openapi.py; COMET_TEST_MODULES says where npm put the
// validator. SPDX-License-Identifier: MIT
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';

const parser = createRequire(`${process.env.COMET_TEST_MODULES}/`)('@apidevtools/swagger-parser');
try {
	await parser.validate(JSON.parse(readFileSync(0, 'utf8')));
	console.log('valid');
} catch (fault) {
	console.log(fault.message);
	process.exitCode = 1;
}
