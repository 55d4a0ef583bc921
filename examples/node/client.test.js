// The client against a server that fails as a test tells it; run by `npm test`.

import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { Client, DigitstripError } from './client.js';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const schema = loadSync(at('../../proto/digitstrip/v1/recognizer.proto'));
const details = loadSync(at('rpc_details.proto'));
const { RecognizerService } = grpc.loadPackageDefinition(schema).digitstrip.v1;

let failures = []; // what the next images get instead of an answer
let calls = []; // the metadata of each
let most = 0; // images at once in a stream, unanswered

const any = (name, message) => ({
  type_url: `type.googleapis.com/${name}`,
  value: details[name].serialize(message),
});

function failure(code, message, ...boxes) {
  const metadata = new grpc.Metadata();
  const status = details['google.rpc.Status'].serialize({ code, message, details: boxes });
  metadata.set('grpc-status-details-bin', status);
  return { code, details: message, metadata };
}

const info = (reason) => any('google.rpc.ErrorInfo', { reason, domain: 'digitstrip' });
const retry = (nanos) => any('google.rpc.RetryInfo', { retryDelay: { nanos } });

const server = new grpc.Server();
server.addService(RecognizerService.service, {
  recognize(call, answer) {
    calls.push(call.metadata.getMap());
    const failed = failures.shift();
    if (failed) answer(failed);
    else answer(null, { text: call.request.image.encoded.toString() });
  },
  recognizeStream(call) {
    let waiting = 0;
    call.on('data', ({ id, request }) => {
      most = Math.max(most, (waiting += 1));
      setTimeout(() => {
        waiting -= 1;
        const failed = failures.shift();
        if (failed?.metadata) call.emit('error', failed);
        else if (failed) call.write({ id, error: failed });
        else call.write({ id, response: { text: request.image.encoded.toString() } });
      }, 5);
    });
    call.on('end', () => setTimeout(() => call.end(), 50));
  },
});
const port = await new Promise((resolve, reject) =>
  server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
    error ? reject(error) : resolve(bound),
  ),
);
const client = new Client([`127.0.0.1:${port}`], { timeout: 2_000 });

beforeEach(() => {
  failures = [];
  calls = [];
  most = 0;
});
after(() => {
  client.close();
  server.forceShutdown();
});

const numbered = (count) =>
  Array.from({ length: count }, (_, number) => [`image ${number}`, Buffer.from(`${number}`)]);

test('an image is read', async () => {
  assert.equal((await client.recognize(Buffer.from('17'))).text, '17');
});

test('an unavailable server is asked again', async () => {
  failures = [failure(grpc.status.UNAVAILABLE, 'stopping', info('SERVER_STOPPING'))];
  assert.equal((await client.recognize(Buffer.from('17'))).text, '17');
  assert.equal(calls.length, 2);
});

test('an overloaded server is asked again when it says, and not earlier', async () => {
  failures = [failure(grpc.status.RESOURCE_EXHAUSTED, 'full', info('OVERLOADED'), retry(3e8))];
  const began = performance.now();
  assert.equal((await client.recognize(Buffer.from('17'))).text, '17');
  assert.ok(performance.now() - began >= 300);
});

test('all tries share the time of the call', async () => {
  failures = Array(100).fill(
    failure(grpc.status.RESOURCE_EXHAUSTED, 'full', info('OVERLOADED'), retry(5e8)),
  );
  await assert.rejects(client.recognize(Buffer.from('17')), { reason: 'OVERLOADED' });
  assert.ok(calls.length <= 4);
});

test('what cannot end better is not asked again, and says why', async () => {
  const bad = any('google.rpc.BadRequest', {
    fieldViolations: [{ field: 'image.encoded', description: 'torn' }],
  });
  failures = [failure(grpc.status.INVALID_ARGUMENT, 'torn', info('DAMAGED_IMAGE'), bad)];
  await assert.rejects(client.recognize(Buffer.from('17')), {
    name: 'DigitstripError',
    code: 'INVALID_ARGUMENT',
    reason: 'DAMAGED_IMAGE',
    field: 'image.encoded',
    message: 'torn',
  });
  failures = [failure(grpc.status.RESOURCE_EXHAUSTED, 'too large')]; // without RetryInfo
  await assert.rejects(client.recognize(Buffer.from('17')), { reason: 'RESOURCE_EXHAUSTED' });
  assert.equal(calls.length, 2);
});

test('a stream answers each image, with no more in flight than allowed', async () => {
  failures = [undefined, { code: 3, reason: 'DAMAGED_IMAGE', message: 'torn', field: 'image' }];
  const answers = new Map();
  for await (const [name, outcome] of client.recognizeMany(numbered(50), {}, 4)) {
    answers.set(name, outcome);
  }
  assert.equal(answers.size, 50);
  assert.ok(most <= 4);
  const failed = [...answers.values()].filter((outcome) => outcome instanceof DigitstripError);
  assert.deepEqual(failed.map(({ reason, code }) => [reason, code]), [
    ['DAMAGED_IMAGE', 'INVALID_ARGUMENT'],
  ]);
  assert.equal(answers.get('image 49').text, '49');
  const refused = { code: 8, reason: 'OVERLOADED', message: 'full', retryAfter: { nanos: 3e8 } };
  failures = [refused];
  for await (const [, outcome] of client.recognizeMany(numbered(1))) {
    assert.equal(outcome.retryAfter, 300);
  }
});

test('a stream that ends early says what it did not answer', async () => {
  failures = [undefined, failure(grpc.status.UNAVAILABLE, 'stopping', info('SERVER_STOPPING'))];
  const answered = [];
  await assert.rejects(
    async () => {
      for await (const [name] of client.recognizeMany(numbered(3), {}, 1)) answered.push(name);
    },
    { reason: 'SERVER_STOPPING', unanswered: ['image 1'] },
  );
  assert.deepEqual(answered, ['image 0']);
});

test("an error of the caller's own images is thrown as it is", async () => {
  async function* images() {
    yield* numbered(1);
    throw new TypeError('mine');
  }
  await assert.rejects(
    async () => {
      for await (const _ of client.recognizeMany(images()));
    },
    { name: 'TypeError', message: 'mine' },
  );
});

test('a token is read for every call, and stays on this machine without TLS', async () => {
  const tokenFile = join(mkdtempSync(join(tmpdir(), 'token-')), 'token');
  writeFileSync(tokenFile, 'first\n');
  const shown = new Client([`127.0.0.1:${port}`], { tokenFile });
  await shown.recognize(Buffer.from('17'));
  writeFileSync(tokenFile, 'second\n');
  await shown.recognize(Buffer.from('17'));
  shown.close();
  assert.deepEqual(
    calls.map(({ authorization }) => authorization),
    ['Bearer first', 'Bearer second'],
  );
  assert.throws(() => new Client(['10.1.2.3:50051'], { tokenFile }), /unencrypted/);
});
