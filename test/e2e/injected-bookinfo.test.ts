/** Manifests of Bookinfo with sidecars: valid for Kubernetes, and with arguments that the image's own commands take. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Manifest, manifestsOf } from '../../scripts/deploy/manifests.ts';
import { schemaChecker } from '../../scripts/deploy/schemas.ts';
import { ROOT, run } from './command.ts';

const FILE = join(ROOT, 'examples/bookinfo/kubernetes/bookinfo.yaml');
interface Container {
  readonly name: string;
  readonly args: readonly string[];
}
interface Workload extends Manifest {
  readonly spec: {
    readonly template: { readonly spec: { readonly initContainers: Container[]; readonly containers: Container[] } };
  };
}

const ENVIRONMENT = {
  POD_NAME: 'reviews-v1-1',
  POD_NAMESPACE: 'default',
  INSTANCE_IP: '10.0.0.1',
  SERVICE_ACCOUNT: 'bookinfo-reviews',
};

for (const [style, ...flags] of [['1.0'], ['today'], ['today', '--nativeSidecar']] as const) {
  test(`in the style ${[style, ...flags].join(' ')}`, async () => {
    const { code, out, err } = await run(['inject', '-f', FILE, '--style', style, ...flags]);
    expect([code, err]).toEqual([0, '']);
    const given = manifestsOf(readFileSync(FILE, 'utf8'));
    const manifests = manifestsOf(out);
    expect(manifests.map(({ kind, metadata }) => [kind, metadata.name])).toEqual(
      given.map(({ kind, metadata }) => [kind, metadata.name]),
    );
    const check = await schemaChecker('1.37.0');
    expect(manifests.flatMap(check)).toEqual([]);

    const workloads = manifests.filter(({ kind }) => kind === 'Deployment') as Workload[];
    expect(workloads).toHaveLength(6);
    const { initContainers, containers } = (workloads[0] as Workload).spec.template.spec;
    const all = [...initContainers, ...containers];
    const argsOf = (wanted: string): readonly string[] => all.find(({ name }) => name === wanted)?.args ?? [];
    const proxy = await run([...argsOf('istio-proxy'), '--print'], { env: ENVIRONMENT });
    expect([proxy.code, proxy.err]).toEqual([0, '']);
    expect(JSON.parse(proxy.out)).toMatchObject({
      node: { id: 'sidecar~10.0.0.1~reviews-v1-1.default~default.svc.cluster.local' },
    });
    const rules = await run([...argsOf('istio-init'), '--print']);
    expect([rules.code, rules.err]).toEqual([0, '']);
    expect(rules.out).toContain('ISTIO_REDIRECT');
  });
}
