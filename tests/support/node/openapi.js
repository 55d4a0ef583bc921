// Validates an OpenAPI document: node openapi.js DOCUMENT
import { readFileSync } from "node:fs";

import { Validator } from "@seriousme/openapi-schema-validator";

const { valid, errors } = await new Validator().validate(JSON.parse(readFileSync(process.argv[2])));
if (!valid) console.error(JSON.stringify(errors, null, 1));
process.exitCode = valid ? 0 : 1;
