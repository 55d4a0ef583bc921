// Reads an image by a client that was generated from the schema: `node read.js WEB GRPC FILE`.
import { readFileSync } from "node:fs";

import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";

import {
  CheckDigit,
  RecognizeRequestSchema,
  RecognizerService,
  type RecognizeResponse,
} from "./gen/digitstrip/v1/recognizer_pb.js";

const [web, grpc, file] = process.argv.slice(2);
if (!web || !grpc || !file) throw new Error("expected WEB GRPC FILE");

const request = create(RecognizeRequestSchema, {
  image: { content: { case: "encoded", value: readFileSync(file) } },
  constraint: { checkDigit: CheckDigit.LUHN },
});

for (const transport of [
  createConnectTransport({ baseUrl: web, httpVersion: "1.1" }),
  createGrpcTransport({ baseUrl: grpc }),
]) {
  const client = createClient(RecognizerService, transport);
  const response: RecognizeResponse = await client.recognize(request);
  console.log(response.text);
  try {
    await client.recognize({ image: { content: { case: "encoded", value: new Uint8Array(9) } } });
  } catch (error) {
    console.log(Code[ConnectError.from(error).code]);
  }
}

async function* one() {
  yield { id: "a", request };
}
const stream = createClient(RecognizerService, createGrpcTransport({ baseUrl: grpc }));
for await (const answer of stream.recognizeStream(one())) {
  console.log(answer.id, answer.outcome.case === "response" && answer.outcome.value.text);
}
