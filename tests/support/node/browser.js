// Calls a server with the Connect protocol's own client for browsers.

import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { ConnectError, Code, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";

window.read = async (descriptors, encoded, useBinaryFormat) => {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, new Uint8Array(descriptors)));
  const service = registry.getService("digitstrip.v1.RecognizerService");
  const client = createClient(service, createConnectTransport({ baseUrl: location.origin, useBinaryFormat }));
  const request = (bytes) => ({ image: { content: { case: "encoded", value: new Uint8Array(bytes) } } });
  const response = await client.recognize(request(encoded), { timeoutMs: 60_000 });
  const error = await client.recognize(request([1, 2, 3])).catch(ConnectError.from);
  return { text: response.text, code: Code[error.code], details: error.details.map((each) => each.debug) };
};
