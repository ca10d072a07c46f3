/**
 * The cost of a check by many AuthorizationPolicy documents: from the bytes of a CheckRequest to the verdict.
 * `node bench/istio-policies.ts` prints a table; each count has a process of its own, as medians of alternating rounds.
 */
import { execFileSync } from 'node:child_process';
import { create, toBinary } from '@bufbuild/protobuf';
import { CheckRequestSchema } from '../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { loadBuiltIns } from '../src/adapters/loading/built-in.ts';
import { NO_CALLER } from '../src/core/call.ts';
import { createEngine } from '../src/core/engine.ts';
import { loadPolicyText } from '../src/core/rules/load.ts';
import { CheckWire } from '../src/frontends/ext-authz/check-wire.ts';
import { median } from './figures.ts';

/** Of a namespace: eight ALLOW policies of workloads, and two DENY policies. */
const IN_NAMESPACE = 10;

function documentOf(at: number): string {
  const namespace = `ns-${Math.floor(at / IN_NAMESPACE)}`;
  const which = at % IN_NAMESPACE;
  const spec =
    which < 8
      ? `selector: { matchLabels: { app: app-${which} } }
  rules:
    - from: [{ source: { principals: [cluster.local/ns/${namespace}/sa/caller-${which}, cluster.local/ns/shared/sa/gateway] } }]
      to: [{ operation: { methods: [GET, POST], paths: ["/v1/${which}*", /healthz] } }]
    - from: [{ source: { namespaces: [ops] } }]`
      : `action: DENY
  rules: [{ to: [{ operation: { paths: ["/internal/${which}*"] } }], when: [{ key: "request.headers[x-debug]", values: ["${which}"] }] }]`;
  return `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p${which}, namespace: ${namespace} }\nspec:\n  ${spec}\n`;
}

const requestsOf = (namespaces: number): Buffer[] =>
  Array.from({ length: 512 }, (_, at) => {
    const namespace = `ns-${(at * 7919) % namespaces}`;
    const which = at % 8;
    return Buffer.from(
      toBinary(
        CheckRequestSchema,
        create(CheckRequestSchema, {
          attributes: {
            source: { principal: `spiffe://cluster.local/ns/${namespace}/sa/caller-${at % 5 === 0 ? 'other' : which}` },
            contextExtensions: {
              'destination.namespace': namespace,
              'destination.labels': `app=app-${which},version=v1`,
            },
            request: {
              http: {
                method: 'GET',
                path: `/v1/${which}/items?page=2`,
                host: 'shop.example',
                headers: { 'user-agent': 'bench', accept: '*/*', 'x-request-id': String(at) },
              },
            },
          },
        }),
      ),
    );
  });

interface Row {
  readonly loadS: number;
  readonly rules: number;
  readonly ns: number;
  readonly allowed: number;
}

/** CPU time of this process, which other work on the machine does not lengthen. */
const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

async function rowOf(count: number): Promise<Row> {
  const text = Array.from({ length: count }, (_, at) => documentOf(at)).join('---\n');
  const beganAtMs = cpuMs();
  const { policy, findings } = await loadPolicyText(new Map([['istio.yaml', text]]), {
    adapters: await loadBuiltIns(),
  });
  if (policy === undefined) throw new Error(findings.map(({ message }) => message).join('\n'));
  const engine = createEngine({ openHandlers: () => Promise.reject(new Error('no handlers here')) });
  await engine.use(policy);
  const loadS = (cpuMs() - beganAtMs) / 1000;
  const requests = requestsOf(count / IN_NAMESPACE);
  let allowed = 0;
  const round = (times: number): number => {
    const from = cpuMs();
    for (let turn = 0; turn < times; turn++)
      for (const bytes of requests) {
        const verdict = engine.check('http', new CheckWire({ bytes, from: 0, to: bytes.length }, () => 0), NO_CALLER);
        if (!(verdict instanceof Promise) && verdict.outcome === 'allow') allowed++;
      }
    return ((cpuMs() - from) * 1e6) / (times * requests.length);
  };
  globalThis.gc?.(); // else the collector, whose threads count, goes on with the garbage of loading
  round(60);
  allowed = 0;
  const rounds = Array.from({ length: 9 }, () => round(20));
  return { loadS, rules: policy.rules.length, ns: median(rounds), allowed: allowed / (9 * 20 * requests.length) };
}

const [wanted] = process.argv.slice(2);
if (wanted !== undefined) console.log(JSON.stringify(await rowOf(Number(wanted))));
else {
  const counts = [10, 100, 1000, 10_000];
  const rows = new Map<number, Row[]>(counts.map((count) => [count, []]));
  for (let round = 0; round < 3; round++)
    for (const count of counts)
      rows
        .get(count)
        ?.push(
          JSON.parse(
            execFileSync(process.execPath, ['--expose-gc', import.meta.filename, String(count)], { encoding: 'utf8' }),
          ) as Row,
        );
  console.log('| policies | rules | load, CPU s | CPU ns a check | of 10 | allowed |\n|---:|---:|---:|---:|---:|---:|');
  const nsOf = (count: number): number => median((rows.get(count) ?? []).map(({ ns }) => ns));
  for (const [count, [row]] of rows)
    console.log(
      `| ${count} | ${row?.rules} | ${row?.loadS.toFixed(2)} | ${nsOf(count).toFixed(0)} | ${(nsOf(count) / nsOf(10)).toFixed(2)} | ${((row?.allowed ?? 0) * 100).toFixed(0)} % |`,
    );
}
