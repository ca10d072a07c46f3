/** Compares Sluice with Envoy's RBAC filter on random AuthorizationPolicy: `npm run istio:compare -- [SEED] [WORKLOADS] [REQUESTS]`. */
import { compareWithRbac } from '../test/parts/istio/compare.ts';

const [seed = 1, workloads = 120, requests = 5000] = process.argv.slice(2).map(Number);
const { policies, passed, differences } = await compareWithRbac({ seed, workloads, requests });
for (const { workload, request, rbac, sluice, policies: text } of differences.slice(0, 10))
  console.log(`workload ${workload}: RBAC ${rbac}, Sluice ${sluice}\n${JSON.stringify(request)}\n${text}`);
console.log(
  `seed ${seed}: ${policies} policies of ${workloads} workloads, ${requests} requests, ${passed} passed, ${differences.length} differences`,
);
process.exitCode = differences.length === 0 ? 0 : 1;
