import { describe, expect, test } from 'vitest';
import { withInjection } from '../../../src/inject/apply.ts';
import type { Injection, Pod, Style } from '../../../src/inject/contract.ts';
import type { JsonObject } from '../../../src/text/json-object.ts';
import { injectionFor } from '../../../src/inject/injection.ts';
import { defaultMeshConfig, type MeshConfig, readMeshConfig } from '../../../src/inject/configs.ts';
import { podOf } from '../../../src/inject/pod.ts';
import { CONFIGS } from '../../parts/inject-configs.ts';

const podWith = (annotations: Readonly<Record<string, string>> = {}, spec: JsonObject = {}): Pod =>
  podOf(
    { labels: { app: 'shop' }, annotations },
    { containers: [{ name: 'app', ports: [{ containerPort: 80 }, { containerPort: 9090 }] }], ...spec },
  );

const injected = (
  style: Style,
  annotations?: Readonly<Record<string, string>>,
  spec?: JsonObject,
  mesh: MeshConfig = defaultMeshConfig(style),
): Injection => injectionFor(podWith(annotations, spec), { name: 'shop-v1' }, CONFIGS[style], mesh);

const argsOf = ([container]: readonly JsonObject[]): readonly string[] => container?.['args'] as string[];
const after = (args: readonly string[], flag: string): string | undefined => args[args.indexOf(flag) + 1];

describe('the containers of Istio 1.0', () => {
  test('have the names, and the status lists them', () => {
    const { status, warnings, first } = injected('1.0');
    expect(JSON.parse(status)).toEqual({
      version: expect.stringMatching(/^[0-9a-f]{64}$/),
      initContainers: ['istio-init'],
      containers: ['istio-proxy'],
      volumes: ['istio-envoy', 'istio-certs'],
      imagePullSecrets: null,
    });
    expect([warnings, first]).toEqual([[], []]);
  });

  test('catch the ports of the containers', () => {
    expect(argsOf(injected('1.0').initContainers)).toEqual([
      '-p',
      '15001',
      '-u',
      '1337',
      '-m',
      'REDIRECT',
      '-i',
      '*',
      '-x',
      '',
      '-b',
      '80, 9090,',
      '-d',
      '',
    ]);
  });

  test('catch what annotations say', () => {
    const args = argsOf(
      injected('1.0', {
        'sidecar.istio.io/interceptionMode': 'TPROXY',
        'traffic.sidecar.istio.io/includeOutboundIPRanges': '10.0.0.0/8,fd00::/8',
        'traffic.sidecar.istio.io/excludeOutboundIPRanges': '10.1.0.0/16',
        'traffic.sidecar.istio.io/includeInboundPorts': '',
        'traffic.sidecar.istio.io/excludeInboundPorts': '22,40000',
      }).initContainers,
    );
    expect(['-m', '-i', '-x', '-b', '-d'].map((flag) => after(args, flag))).toEqual([
      'TPROXY',
      '10.0.0.0/8,fd00::/8',
      '10.1.0.0/16',
      '',
      '22,40000',
    ]);
  });

  test('take times and addresses from the mesh configuration', () => {
    const mesh = readMeshConfig(
      'proxyListenPort: 15002\ndefaultConfig:\n  drainDuration: 45s\n  parent_shutdown_duration: 60s\n  concurrency: 2\n  discoveryAddress: pilot:1\n',
      'mesh.yaml',
      '1.0',
    );
    const { containers, initContainers } = injected('1.0', {}, {}, mesh);
    const args = argsOf(containers);
    expect(after(argsOf(initContainers), '-p')).toBe('15002');
    expect(
      ['--drainDuration', '--parentShutdownDuration', '--concurrency', '--discoveryAddress'].map((flag) =>
        after(args, flag),
      ),
    ).toEqual(['45s', '1m0s', '2', 'pilot:1']);
  });

  test('mount the secret of the service account', () => {
    const secretOf = (spec: JsonObject): unknown => injected('1.0', {}, spec).volumes[1]?.['secret'];
    expect(secretOf({})).toEqual({ optional: true, secretName: 'istio.default' });
    expect(secretOf({ serviceAccountName: 'shop' })).toEqual({ optional: true, secretName: 'istio.shop' });
  });

  test('keep a value of an annotation a value, whatever it holds', () => {
    const { containers } = injected('1.0', {
      'sidecar.istio.io/proxyImage': 'x"\n  securityContext: { privileged: true }',
    });
    expect(containers[0]?.['image']).toBe('x"\n  securityContext: { privileged: true }');
    expect(containers[0]?.['securityContext']).toEqual({ readOnlyRootFilesystem: true, runAsUser: 1337 });
  });
});

describe('an annotation with an invalid value refuses the pod in the words of Istio', () => {
  test.each([
    ['sidecar.istio.io/interceptionMode', 'FAST', 'interceptionMode invalid: FAST'],
    [
      'traffic.sidecar.istio.io/includeOutboundIPRanges',
      '10.0.0.1',
      "includeIPRanges invalid: failed parsing cidr '10.0.0.1': invalid CIDR address: 10.0.0.1",
    ],
    ['traffic.sidecar.istio.io/includeOutboundIPRanges', '10.0.0.0/33', 'invalid CIDR address: 10.0.0.0/33'],
    [
      'traffic.sidecar.istio.io/excludeOutboundIPRanges',
      '*',
      "excludeIPRanges invalid: failed parsing cidr '*': invalid CIDR address: *",
    ],
    [
      'traffic.sidecar.istio.io/includeInboundPorts',
      'bad',
      'includeInboundPorts invalid: failed parsing port \'bad\': strconv.ParseInt: parsing "bad": invalid syntax',
    ],
    [
      'traffic.sidecar.istio.io/excludeInboundPorts',
      '1,65536',
      'excludeInboundPorts invalid: failed parsing port \'65536\': strconv.ParseInt: parsing "65536": value out of range',
    ],
    ['traffic.sidecar.istio.io/excludeInboundPorts', '*', 'excludeInboundPorts invalid'],
  ])('%s: %s', (annotation, value, why) => {
    for (const style of ['1.0', 'today'] as const)
      expect(() => injected(style, { [annotation]: value })).toThrow(
        expect.objectContaining({
          code: 'INJECT_ANNOTATION',
          annotation,
          message: expect.stringContaining(
            `injection failed. Invalid value for annotation ${annotation}: ${value}. Error: `,
          ),
        }),
      );
    expect(() => injected('1.0', { [annotation]: value })).toThrow(why);
  });

  test('those of today are checked for today alone', () => {
    for (const [annotation, value] of [
      ['traffic.sidecar.istio.io/excludeOutboundPorts', 'x'],
      ['sidecar.istio.io/proxyCPU', 'much'],
      ['sidecar.istio.io/nativeSidecar', 'yes'],
      ['proxy.istio.io/config', 'drainDuration: soon'],
      ['proxy.istio.io/config', '- a'],
      ['proxy.istio.io/config', '{'],
    ] as const) {
      expect(() => injected('today', { [annotation]: value })).toThrow(
        expect.objectContaining({ code: 'INJECT_ANNOTATION', annotation }),
      );
      expect(injected('1.0', { [annotation]: value }).containers).toHaveLength(1);
    }
  });
});

describe("today's annotations", () => {
  test('say which ports are redirected', () => {
    const args = argsOf(
      injected('today', {
        'traffic.sidecar.istio.io/includeOutboundPorts': '8443',
        'traffic.sidecar.istio.io/excludeOutboundPorts': '3306,40000',
      }).initContainers,
    );
    expect([args[0], after(args, '-q'), after(args, '-o'), after(args, '-b')]).toEqual([
      'iptables',
      '8443',
      '3306,40000',
      '*',
    ]);
  });

  test('say what the proxy may take', () => {
    const { containers } = injected('today', {
      'sidecar.istio.io/proxyCPU': '50m',
      'sidecar.istio.io/proxyMemoryLimit': '256Mi',
    });
    expect(containers[0]?.['resources']).toEqual({
      requests: { cpu: '50m', memory: '128Mi' },
      limits: { cpu: '2', memory: '256Mi' },
    });
  });

  test('configure the proxy, over the mesh', () => {
    const mesh = readMeshConfig(
      'defaultConfig: { drainDuration: 7s, proxyMetadata: { A: "1", B: "1" } }',
      'mesh',
      'today',
    );
    const { containers, first } = injected(
      'today',
      { 'proxy.istio.io/config': 'concurrency: 3\nholdApplicationUntilProxyStarts: true\nproxyMetadata: { B: "2" }\n' },
      {},
      mesh,
    );
    const [proxy] = containers;
    expect([after(argsOf(containers), '--concurrency'), after(argsOf(containers), '--drainDuration')]).toEqual([
      '3',
      '7s',
    ]);
    expect(((proxy?.['env'] ?? []) as JsonObject[]).slice(-2)).toEqual([
      { name: 'A', value: '1' },
      { name: 'B', value: '2' },
    ]);
    expect(first).toEqual(['containers']);
    expect(proxy?.['lifecycle']).toEqual({
      postStart: { exec: { command: ['sluice', 'sidecar', 'wait', '--proxyAdminPort', '15000'] } },
    });
  });

  test('leave connections alone: no init container', () => {
    const none = { 'sidecar.istio.io/interceptionMode': 'NONE' };
    const { initContainers, containers } = injected('today', none);
    expect([initContainers, containers.map(({ name }) => name)]).toEqual([[], ['istio-proxy']]);
    expect(() => injected('1.0', none)).toThrow('interceptionMode invalid: NONE');
    const native = injected('today', { ...none, 'sidecar.istio.io/nativeSidecar': 'true' });
    expect(native.initContainers.map(({ name }) => name)).toEqual(['istio-proxy']);
  });

  test('make the proxy a native sidecar', () => {
    const { initContainers, containers, first, status } = injected('today', {
      'sidecar.istio.io/nativeSidecar': 'true',
    });
    expect(initContainers.map(({ name, restartPolicy }) => [name, restartPolicy])).toEqual([
      ['istio-init', undefined],
      ['istio-proxy', 'Always'],
    ]);
    expect([containers, first]).toEqual([[], ['initContainers']]);
    expect(JSON.parse(status)).toMatchObject({ initContainers: ['istio-init', 'istio-proxy'], containers: null });
  });
});

describe('a pod with an injection', () => {
  const names = ({ spec }: Pod, list: string): unknown[] =>
    ((spec[list] ?? []) as JsonObject[]).map(({ name }) => name);

  test('has the added after its own', () => {
    const pod = podWith(
      {},
      { initContainers: [{ name: 'first' }], volumes: [{ name: 'data' }], imagePullSecrets: [{ name: 'key' }] },
    );
    const made = withInjection(pod, injected('1.0'));
    expect(names(made, 'initContainers')).toEqual(['first', 'istio-init']);
    expect(names(made, 'containers')).toEqual(['app', 'istio-proxy']);
    expect(names(made, 'volumes')).toEqual(['data', 'istio-envoy', 'istio-certs']);
    expect(names(made, 'imagePullSecrets')).toEqual(['key']);
  });

  test('has those that must start first before its own', () => {
    const pod = podWith({ 'sidecar.istio.io/nativeSidecar': 'true' }, { initContainers: [{ name: 'first' }] });
    const made = withInjection(pod, injected('today', { 'sidecar.istio.io/nativeSidecar': 'true' }));
    expect(names(made, 'initContainers')).toEqual(['istio-init', 'istio-proxy', 'first']);
  });

  test('changes its style without a trace of the other', () => {
    const old = withInjection(podWith(), injected('1.0'));
    const made = withInjection(old, injected('today'));
    expect(names(made, 'containers')).toEqual(['app', 'istio-proxy']);
    expect(names(made, 'volumes')).toEqual(['istio-envoy', 'istio-token', 'istiod-ca-cert']);
  });

  test('loses what an injector without a status left, or one whose status cannot be read', () => {
    for (const annotations of [{}, { 'sidecar.istio.io/status': 'injected-version-root@1' }] as const) {
      const pod = podWith(annotations, {
        initContainers: [{ name: 'istio-init', image: 'old' }, { name: 'enable-core-dump' }],
        containers: [{ name: 'app' }, { name: 'istio-proxy', image: 'old' }],
      });
      const made = withInjection(pod, injected('1.0'));
      expect(names(made, 'initContainers')).toEqual(['istio-init']);
      expect(names(made, 'containers')).toEqual(['app', 'istio-proxy']);
      expect(JSON.stringify(made)).not.toContain('old');
    }
  });
});

describe('a template that makes no pod is refused', () => {
  const made = (template: string, style: Style = '1.0'): Injection =>
    injectionFor(podWith(), {}, { policy: 'enabled', template, style }, defaultMeshConfig(style));

  test.each([
    ['a: [', 'is not valid YAML in line 1'],
    ['text', 'is not a map of initContainers'],
    ['containers: text', 'containers is not a list'],
    ['containers: [text]', 'containers[0] is not a map'],
    ['containers: [{ image: x }]', 'containers has an item without a name'],
    ['containers: [{ name: x, args: y }]', 'args is not a list'],
    ['containers: [{ name: x, args: [{}] }]', 'args[0] is not a text'],
    ['first: [pods]', 'first is a list of'],
    ['[[ range .Spec.Containers ]]\n[[ .Name ]]: {\n[[ end ]]', 'is not valid YAML'],
  ])('%s', (template, message) => {
    expect(() => made(template)).toThrow(message);
  });

  test('what it makes is text where Kubernetes has text', () => {
    const [container] = made(
      'containers: [{ name: x, args: [1, true, ~, 0x10], env: [{ name: A, value: 1 }] }]',
    ).containers;
    expect(container).toEqual({ name: 'x', args: ['1', 'true', '', '16'], env: [{ name: 'A', value: '1' }] });
  });

  test('a restart policy is left out in the style 1.0, also where the template of its Helm chart puts it', () => {
    const rights = 'securityContext: { runAsUser: 1, restartPolicy: Always }';
    const template = `containers: [{ name: x, restartPolicy: Always, ${rights} }, { name: other, securityContext: ~ }]`;
    expect(made(template).containers).toEqual([
      { name: 'x', securityContext: { runAsUser: 1 } },
      { name: 'other', securityContext: null },
    ]);
    expect(made(template, 'today').containers[0]).toMatchObject({ restartPolicy: 'Always' });
  });
});
