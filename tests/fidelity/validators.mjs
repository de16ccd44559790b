// SPDX-License-Identifier: Apache-2.0
// Reads [[validator, payload], ...] from stdin and writes, for each, what the vendor's validator has against it.

import { readFileSync } from 'node:fs';

import * as published from '@rocket.chat/rest-typings';

const problems = JSON.parse(readFileSync(0, 'utf8')).map(([validator, payload]) =>
	published[validator](payload) ? [] : published[validator].errors.map((error) => error.message),
);
process.stdout.write(JSON.stringify(problems));
