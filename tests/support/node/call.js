// Calls a server with the Connect protocol's own client: node call.js URL DESCRIPTORS IMAGE json|proto
import { readFileSync } from "node:fs";

import { createFileRegistry, fromBinary, toJsonString } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { ConnectError, Code, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";

const [url, descriptors, image, format] = process.argv.slice(2);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)));
const service = registry.getService("digitstrip.v1.RecognizerService");
const transport = createConnectTransport({
  baseUrl: url,
  httpVersion: "1.1",
  useBinaryFormat: format === "proto",
});
const client = createClient(service, transport);

const request = (encoded) => ({ image: { content: { case: "encoded", value: encoded } } });
const response = await client.recognize(request(readFileSync(image)), { timeoutMs: 60_000 });
const model = await client.getModel({});
const error = await client.recognize(request(new Uint8Array([1, 2, 3]))).catch(ConnectError.from);
console.log(
  JSON.stringify({
    response: JSON.parse(toJsonString(registry.getMessage("digitstrip.v1.RecognizeResponse"), response)),
    labels: model.labels,
    error: { code: Code[error.code], message: error.rawMessage, details: error.details.map((each) => each.debug) },
  }),
);
