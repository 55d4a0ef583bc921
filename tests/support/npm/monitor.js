// Checks a ServiceMonitor, in JSON on standard input, by the operator's own schema.
import { readFileSync } from "node:fs";

import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";

new ServiceMonitor(JSON.parse(readFileSync(0, "utf8"))).validate();
