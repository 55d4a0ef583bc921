// A Digitstrip client: one image a call or many over a stream, deadlines, retries, TLS, a token.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const schema = loadSync(at('../../proto/digitstrip/v1/recognizer.proto'), {
  defaults: true, // a string without digits is '', not absent
  enums: String,
  longs: Number,
});
const details = loadSync(at('rpc_details.proto'), { defaults: true, longs: Number });
const { RecognizerService } = grpc.loadPackageDefinition(schema).digitstrip.v1;

const TRIES = 6; // of a server that is unavailable; one that is overloaded says when to come back
const SERVICE_CONFIG = JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] });

/** Why an image was not read. `reason` is one word for programs, the message a sentence. */
export class DigitstripError extends Error {
  constructor(message, { code, reason, field, retryAfter, cause } = {}) {
    super(message, { cause });
    this.name = 'DigitstripError';
    this.code = code; // the name of a gRPC status code
    this.reason = reason || code;
    this.field = field; // of the request, if one is at fault
    this.retryAfter = retryAfter; // milliseconds, if the server says that another try is worth it
  }
}

/** A connection to one server or several, which take turns. */
export class Client {
  /**
   * @param {string[]} addresses host:port each; several are IPv4 addresses
   * @param {object} options `timeout` of a call in milliseconds, all its tries included; `tls`;
   *   files in PEM: `ca`, and `certificate` and `key` for a server that asks for them; `serverName`
   *   in the server's certificate; `tokenFile`, read for every call, so that it can be rotated
   */
  constructor(addresses, options = {}) {
    const { timeout = 60_000, ca, certificate, key, serverName, tokenFile } = options;
    const tls = Boolean(options.tls || ca || certificate || serverName);
    if (tokenFile && !tls && !addresses.every(isLoopback)) {
      throw new DigitstripError('a token would travel unencrypted; use TLS', {
        code: 'FAILED_PRECONDITION',
      });
    }
    const pem = (file) => (file ? readFileSync(file) : null);
    const credentials = tls
      ? grpc.credentials.createSsl(pem(ca), pem(key), pem(certificate))
      : grpc.credentials.createInsecure();
    const target = addresses.length > 1 ? `ipv4:${addresses.join(',')}` : addresses[0];
    this.timeout = timeout;
    this.tokenFile = tokenFile;
    this.stub = new RecognizerService(target, credentials, {
      'grpc.service_config': SERVICE_CONFIG,
      'grpc.max_receive_message_length': -1, // score maps are many times their image
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 2_000,
      ...(serverName && {
        'grpc.ssl_target_name_override': serverName,
        'grpc.default_authority': serverName,
      }),
    });
  }

  /**
   * Read one image, an encoded file's bytes.
   * @param {object} asked fields of RecognizeRequest, such as { alternatives: 3 }
   */
  async recognize(encoded, asked = {}) {
    const deadline = Date.now() + this.timeout;
    for (let failures = 1; ; failures += 1) {
      try {
        return await this.#recognizeOnce(toRequest(encoded, asked), deadline);
      } catch (error) {
        const pause = pauseBefore(error, failures);
        if (pause === null || Date.now() + pause >= deadline) throw error;
        await sleep(pause);
      }
    }
  }

  /**
   * Read [name, encoded] pairs over one call; yields [name, response or DigitstripError] as they
   * are ready. No more than `inFlight` are sent whose answer was not taken. If the call itself
   * fails, the error that is thrown tells by its `unanswered` which names have no answer.
   */
  async *recognizeMany(images, asked = {}, inFlight = 16) {
    const call = this.stub.recognizeStream(this.#metadata());
    const ended = new AbortController();
    const unanswered = new Map(); // our id -> the caller's name
    let taken = () => {};

    const send = async () => {
      let id = 0;
      for await (const [name, encoded] of images) {
        while (unanswered.size >= inFlight && !ended.signal.aborted) {
          await new Promise((resolve) => (taken = resolve));
        }
        if (ended.signal.aborted) return;
        unanswered.set(String((id += 1)), name);
        const roomLeft = call.write({ id: String(id), request: toRequest(encoded, asked) });
        if (!roomLeft) await once(call, 'drain', { signal: ended.signal });
      }
      call.end();
    };
    const sent = send().catch((error) => call.destroy(error)); // the caller's own, say

    try {
      for await (const { id, response, error } of call) {
        const name = unanswered.get(id);
        yield [name, response ?? fromAnswer(error)];
        unanswered.delete(id);
        taken();
      }
      await sent;
    } catch (error) {
      throw Object.assign(toError(error), { unanswered: [...unanswered.values()] });
    } finally {
      ended.abort();
      taken();
      call.cancel(); // of no effect on a call that ended
    }
  }

  close() {
    this.stub.close();
  }

  #metadata() {
    const metadata = new grpc.Metadata();
    if (this.tokenFile) {
      metadata.set('authorization', `Bearer ${readFileSync(this.tokenFile, 'ascii').trim()}`);
    }
    return metadata;
  }

  #recognizeOnce(request, deadline) {
    return new Promise((resolve, reject) => {
      this.stub.recognize(request, this.#metadata(), { deadline }, (error, response) =>
        error ? reject(toError(error)) : resolve(response),
      );
    });
  }
}

/** Milliseconds to wait before another try, or null where none is worth it. */
function pauseBefore(error, failures) {
  if (error.code === 'RESOURCE_EXHAUSTED' && error.retryAfter !== undefined) {
    return error.retryAfter * (1 + Math.random() / 4); // never earlier than the server says
  }
  if (error.code === 'UNAVAILABLE' && failures < TRIES) {
    return 100 * 2 ** (failures - 1) * (0.5 + Math.random() / 2);
  }
  return null;
}

function toRequest(encoded, asked) {
  return { image: { encoded }, ...asked };
}

/** What a stream says of one image. */
function fromAnswer({ code, reason, message, field, retryAfter }) {
  const told = { code: grpc.status[code], reason, field, retryAfter: toMilliseconds(retryAfter) };
  return new DigitstripError(message, told);
}

function toMilliseconds(duration) {
  return duration ? duration.seconds * 1000 + duration.nanos / 1e6 : undefined;
}

/** A failed call, with what the server's google.rpc details say; other errors are left alone. */
export function toError(error) {
  if (!(error.code in grpc.status) || !error.metadata) return error;
  const told = { code: grpc.status[error.code], cause: error };
  for (const { type_url: url, value } of statusDetails(error.metadata)) {
    const name = url.split('/').at(-1);
    const detail = details[name]?.deserialize(value);
    if (name === 'google.rpc.ErrorInfo') told.reason = detail.reason;
    if (name === 'google.rpc.BadRequest') told.field = detail.fieldViolations[0]?.field;
    if (name === 'google.rpc.RetryInfo') told.retryAfter = toMilliseconds(detail.retryDelay);
  }
  return new DigitstripError(error.details, told);
}

function statusDetails(metadata) {
  const [encoded] = metadata.get('grpc-status-details-bin');
  return encoded ? (details['google.rpc.Status'].deserialize(encoded).details ?? []) : [];
}

function isLoopback(address) {
  const host = address.slice(0, address.lastIndexOf(':'));
  return host === 'localhost' || host === '[::1]' || (isIPv4(host) && host.startsWith('127.'));
}
