// node read.js [options] FILE…: print what each image says, through a Digitstrip server.

import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { Client, DigitstripError } from './client.js';

const { values, positionals: files } = parseArgs({
  allowPositionals: true,
  options: {
    address: { type: 'string', multiple: true, default: ['127.0.0.1:50051'] },
    stream: { type: 'boolean' }, // many images over one call
    timeout: { type: 'string', default: '60' }, // seconds for one image
    tls: { type: 'boolean' },
    'tls-ca': { type: 'string' },
    'tls-certificate': { type: 'string' },
    'tls-key': { type: 'string' },
    'tls-server-name': { type: 'string' },
    'token-file': { type: 'string' },
  },
});

const client = new Client(values.address, {
  timeout: Number(values.timeout) * 1000,
  tls: values.tls,
  ca: values['tls-ca'],
  certificate: values['tls-certificate'],
  key: values['tls-key'],
  serverName: values['tls-server-name'],
  tokenFile: values['token-file'],
});

async function* images() {
  for (const file of files) yield [file, await readFile(file)];
}

function tell(file, outcome) {
  if (outcome instanceof DigitstripError) {
    console.error(`${file}: ${outcome.reason}: ${outcome.message}`);
    process.exitCode = 1;
  } else {
    console.log(`${file}\t${outcome.text}\t${outcome.confidence.toFixed(3)}`);
  }
}

async function tellOne(file) {
  const encoded = await readFile(file);
  tell(file, await client.recognize(encoded).catch((error) => error));
}

try {
  if (values.stream) {
    const again = []; // what an overloaded server refused
    for await (const [file, outcome] of client.recognizeMany(images())) {
      if (outcome.reason === 'OVERLOADED') again.push(file);
      else tell(file, outcome);
    }
    for (const file of again) await tellOne(file); // tried again as the server says
  } else {
    for (const file of files) await tellOne(file);
  }
} finally {
  client.close();
}
