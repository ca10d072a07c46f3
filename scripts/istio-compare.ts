/**
 * Compares Sluice with Envoy's own filters on random documents of Istio:
 * `npm run istio:compare -- [rbac|roles|tokens|tcp|roles-tcp] [SEED] [WORKLOADS] [REQUESTS]`.
 */
import { compareWithRbac } from '../test/parts/istio/compare.ts';
import { compareWithNetworkRbac } from '../test/parts/istio/compare-tcp.ts';
import { compareWithJwtAuthn } from '../test/parts/istio/compare-tokens.ts';

const COMPARISONS = {
  rbac: compareWithRbac,
  roles: async (options: Options) => compareWithRbac({ ...options, kind: 'ServiceRole' }),
  tokens: compareWithJwtAuthn,
  tcp: async ({ requests, ...options }: Options) => compareWithNetworkRbac({ ...options, connections: requests }),
  'roles-tcp': async ({ requests, ...options }: Options) =>
    compareWithNetworkRbac({ ...options, connections: requests, kind: 'ServiceRole' }),
};
interface Options {
  readonly seed: number;
  readonly workloads: number;
  readonly requests: number;
}

const args = process.argv.slice(2);
const name =
  args[0] !== undefined && Object.hasOwn(COMPARISONS, args[0]) ? (args.shift() as keyof typeof COMPARISONS) : 'rbac';
const [seed = 1, workloads = 120, requests = 5000] = args.map(Number);
const { differences, ...counts } = await COMPARISONS[name]({ seed, workloads, requests });
for (const { policies, ...difference } of differences.slice(0, 10))
  console.log(`${JSON.stringify(difference)}\n${policies}`);
console.log(`${name}, seed ${seed}, ${workloads} workloads:`, counts, `${differences.length} differences`);
process.exitCode = differences.length === 0 ? 0 : 1;
