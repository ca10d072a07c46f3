/** Who may have the credentials that Gateways and DestinationRules name. */
import { expect, test } from 'vitest';
import { caOf, CredentialAccess, usedSecrets } from '../../../src/mesh/model/credential-access.ts';
import { type MeshObjects, noObjects, readObjects } from '../../../src/mesh/sources/objects.ts';
import { Findings } from '../../../src/yaml/findings.ts';

const object = (kind: string, [namespace, name]: readonly [string, string], spec: object, others: object = {}) => ({
  apiVersion: kind === 'Pod' ? 'v1' : 'networking.istio.io/v1',
  kind,
  metadata: { name, namespace, ...others },
  spec,
});
type Labels = Readonly<Record<string, string>>;

const gateway = (name: readonly [string, string], selector: Labels, credentialName = 'shop', mode = 'SIMPLE') =>
  object('Gateway', name, {
    selector,
    servers: [{ port: { number: 443, name: 'https', protocol: 'HTTPS' }, hosts: ['*'], tls: { mode, credentialName } }],
  });
const pod = (name: readonly [string, string], serviceAccountName: string | undefined, labels: Labels, status = {}) => ({
  ...object('Pod', name, { serviceAccountName, containers: [] }, { labels }),
  status,
});
const entry = (name: readonly [string, string], serviceAccount: string | undefined, labels: Labels, own: Labels = {}) =>
  object('WorkloadEntry', name, { address: '10.0.0.9', serviceAccount, labels }, { labels: own });

async function objectsOf(...objects: readonly object[]): Promise<MeshObjects> {
  const findings = new Findings();
  const text = objects.map((one) => JSON.stringify(one)).join('\n---\n');
  const read = await readObjects([{ file: 'a.yaml', text }], findings);
  expect(findings.sorted([])).toEqual([]);
  return read;
}

const EDGE = { istio: 'ingressgateway' };
const FRONT = gateway(['default', 'front'], EDGE);

/** `allowed`, or why not. */
async function asked(
  account: string,
  objects: readonly object[],
  credential = 'shop',
  namespace = 'edge',
): Promise<string> {
  const access = new CredentialAccess(await objectsOf(...objects));
  return access.refusal(credential, { namespace, serviceAccount: account })?.why ?? 'allowed';
}

test.for([
  ['a pod', pod(['edge', 'a'], 'gateway', EDGE)],
  ['a pod that has no address yet', pod(['edge', 'a'], 'gateway', EDGE, { phase: 'Pending' })],
  ['a WorkloadEntry', entry(['edge', 'a'], 'gateway', EDGE)],
  ['a WorkloadEntry by the labels of its object', entry(['edge', 'a'], 'gateway', {}, EDGE)],
] as const)('%s that a Gateway selects may have the credential that it names', async ([, workload]) => {
  expect(await asked('gateway', [FRONT, workload])).toBe('allowed');
});

test('a pod without a service account has that of Kubernetes, default', async () => {
  expect(await asked('default', [FRONT, pod(['edge', 'a'], undefined, EDGE)])).toBe('allowed');
});

test.for([
  ['of a service account that no workload has', 'web', [pod(['edge', 'a'], 'gateway', EDGE)]],
  ['of the same service account in another namespace', 'gateway', [pod(['default', 'a'], 'gateway', EDGE)]],
  ['whose pod has ended', 'gateway', [pod(['edge', 'a'], 'gateway', EDGE, { phase: 'Succeeded' })]],
  ['whose WorkloadEntry names no service account', 'gateway', [entry(['edge', 'a'], undefined, EDGE)]],
] as const)('an identity %s is refused', async ([, account, workloads]) => {
  expect(await asked(account, [FRONT, ...workloads])).toBe(
    `no Pod or WorkloadEntry in the namespace edge has the service account ${account}`,
  );
});

test('an impostor beside the gateway is refused, and the refusal says what would allow it', async () => {
  const access = new CredentialAccess(
    await objectsOf(FRONT, pod(['edge', 'a'], 'gateway', EDGE), pod(['edge', 'b'], 'web', { app: 'web' })),
  );
  expect(access.refusal('shop', { namespace: 'edge', serviceAccount: 'gateway' })).toBeUndefined();
  expect(access.refusal('shop', { namespace: 'edge', serviceAccount: 'web' })).toEqual({
    why: 'of 1 Pods and WorkloadEntries with this service account none has the labels istio=ingressgateway (Gateway default/front)',
    add: 'a Pod or WorkloadEntry in the namespace edge with the service account web and the labels istio=ingressgateway (Gateway default/front)',
  });
});

test('a Gateway gives the credentials that it names, and no other', async () => {
  const other = gateway(['default', 'other'], { app: 'other' }, 'bank');
  const passing = gateway(['default', 'passing'], EDGE, 'kept', 'PASSTHROUGH');
  const all = [FRONT, other, passing, pod(['edge', 'a'], 'gateway', EDGE)];
  expect(await asked('gateway', all)).toBe('allowed');
  expect(await asked('gateway', all, 'bank')).toContain('none has the labels app=other (Gateway default/other)');
  expect(await asked('gateway', all, 'kept')).toContain(
    'none has a selector: no Gateway or DestinationRule names kept',
  );
});

test('a Gateway without a selector gives its credentials to its own namespace', async () => {
  const open = gateway(['default', 'open'], {});
  const workloads = [pod(['edge', 'a'], 'gateway', EDGE), pod(['default', 'b'], 'web', {})];
  expect(await asked('web', [open, ...workloads], 'shop', 'default')).toBe('allowed');
  expect(await asked('gateway', [open, ...workloads])).toContain(
    'without a selector its credentials are for its own namespace',
  );
});

const client = (name: readonly [string, string], mode: string, matchLabels?: Labels) =>
  object('DestinationRule', name, {
    host: 'bank.example.com',
    trafficPolicy: { tls: { mode, credentialName: 'bank' } },
    ...(matchLabels === undefined ? {} : { workloadSelector: { matchLabels } }),
  });

test('a DestinationRule gives its credential to the workloads that it selects, in its own namespace', async () => {
  const rule = client(['default', 'bank'], 'MUTUAL', { app: 'web' });
  const pods = [
    pod(['default', 'a'], 'web', { app: 'web' }),
    pod(['default', 'b'], 'other', { app: 'other' }),
    pod(['edge', 'c'], 'web', { app: 'web' }),
  ];
  const of = (account: string, namespace: string) => asked(account, [rule, ...pods], 'bank', namespace);
  expect(await of('web', 'default')).toBe('allowed');
  expect(await of('other', 'default')).toContain('none has the labels app=web (DestinationRule default/bank)');
  expect(await of('web', 'edge')).toContain('it selects in its own namespace alone');
});

test('a DestinationRule without a selector gives its credential to gateways alone', async () => {
  const rule = client(['default', 'bank'], 'MUTUAL');
  const pods = [pod(['edge', 'a'], 'gateway', EDGE), pod(['edge', 'b'], 'web', { app: 'web' })];
  expect(await asked('gateway', [FRONT, rule, ...pods], 'bank')).toBe('allowed');
  expect(await asked('web', [FRONT, rule, ...pods], 'bank')).toContain(
    'DestinationRule default/bank has no workloadSelector',
  );
  const objects = await objectsOf(FRONT, rule, client(['shop', 'own'], 'SIMPLE', { app: 'web' }), ...pods);
  expect([...usedSecrets(objects)].toSorted()).toEqual([
    'edge/bank',
    'edge/bank-cacert',
    'edge/shop',
    'shop/bank',
    'shop/bank-cacert',
  ]);
});

test('mode SIMPLE gives the authorities of a credential, and not its key', async () => {
  const rule = client(['edge', 'bank'], 'SIMPLE', { app: 'web' });
  const pods = [pod(['edge', 'b'], 'web', { app: 'web' })];
  expect(await asked('web', [rule, ...pods], caOf('bank'))).toBe('allowed');
  expect(await asked('web', [rule, ...pods], 'bank')).toContain('no Gateway or DestinationRule names bank');
});

test('Secrets are read in the namespaces of workloads that a Gateway selects, WorkloadEntries too', async () => {
  const objects = await objectsOf(
    FRONT,
    gateway(['default', 'mutual'], EDGE, 'bank', 'MUTUAL'),
    gateway(['shop', 'open'], {}, 'own'),
    pod(['edge', 'a'], 'gateway', EDGE),
    pod(['edge', 'b'], 'web', { app: 'web' }),
    entry(['machines', 'c'], 'gateway', EDGE),
    pod(['old', 'd'], 'gateway', EDGE, { phase: 'Failed' }),
  );
  expect([...usedSecrets(objects)].toSorted()).toEqual([
    'edge/bank',
    'edge/bank-cacert',
    'edge/shop',
    'machines/bank',
    'machines/bank-cacert',
    'machines/shop',
    'shop/own',
  ]);
  expect([...usedSecrets(noObjects())]).toEqual([]);
});
