/** Texts of the variable are those that istiod writes for the same probes. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { withInjection } from '../../../src/inject/apply.ts';
import { defaultMeshConfig, readInjectConfig, readMeshConfig } from '../../../src/inject/configs.ts';
import type { InjectConfig, Injection, Pod } from '../../../src/inject/contract.ts';
import type { JsonObject } from '../../../src/text/json-object.ts';
import { injectionFor } from '../../../src/inject/injection.ts';
import { podOf } from '../../../src/inject/pod.ts';
import { CONFIGS, configToday } from '../../parts/inject-configs.ts';

const { today } = CONFIGS;
const podWith = (containers: readonly JsonObject[], annotations: JsonObject = {}, spec: JsonObject = {}): Pod =>
  podOf({ labels: { app: 'shop' }, annotations }, { containers, ...spec });
const injectionOf = (pod: Pod, config: InjectConfig = today, mesh = defaultMeshConfig(config.style)): Injection =>
  injectionFor(pod, {}, config, mesh);
const injected = (pod: Pod, config?: InjectConfig): Pod => withInjection(pod, injectionOf(pod, config));
const containersOf = ({ spec }: Pod): readonly JsonObject[] => [
  ...((spec['initContainers'] ?? []) as JsonObject[]),
  ...(spec['containers'] as JsonObject[]),
];
const containerOf = (pod: Pod, name = 'app'): JsonObject =>
  containersOf(pod).find((container) => container['name'] === name) ?? {};
const variableOf = (pod: Pod): unknown =>
  ((containerOf(pod, 'istio-proxy')['env'] ?? []) as readonly JsonObject[]).find(
    ({ name }) => name === 'ISTIO_KUBE_APP_PROBERS',
  )?.['value'];
const argsOf = (pod: Pod, name: string): readonly string[] => containerOf(pod, name)['args'] as string[];
const after = (args: readonly string[], flag: string): string | undefined => args[args.indexOf(flag) + 1];

describe('probes go to the agent, and the variable has the originals', () => {
  test('of every kind, of several containers, by names of ports', () => {
    const pod = injected(
      podWith([
        {
          name: 'hello',
          ports: [{ name: 'http', containerPort: 80 }],
          livenessProbe: { httpGet: { port: 'http' } },
          readinessProbe: { httpGet: { port: 3333, scheme: 'HTTPS' } },
          startupProbe: { grpc: { port: 1236 }, timeoutSeconds: 20, periodSeconds: 10 },
          lifecycle: {
            preStop: { httpGet: { path: '/foo', port: 91, host: 'foo', scheme: 'HTTP' } },
            postStart: { tcpSocket: { port: 93 } },
          },
        },
        {
          name: 'world',
          ports: [{ name: 'http', containerPort: 90 }],
          livenessProbe: { grpc: { port: 1234, service: 'foo' } },
          readinessProbe: { exec: { command: ['cat', '/tmp/healthy'] } },
        },
      ]),
    );
    const at = (path: string): JsonObject => ({ path, port: 15020 });
    expect(containerOf(pod, 'hello')).toMatchObject({
      livenessProbe: { httpGet: at('/app-health/hello/livez') },
      readinessProbe: { httpGet: { ...at('/app-health/hello/readyz'), scheme: 'HTTP' } },
      startupProbe: { httpGet: at('/app-health/hello/startupz'), timeoutSeconds: 20, periodSeconds: 10 },
      lifecycle: {
        preStop: { httpGet: at('/app-lifecycle/hello/prestopz') },
        postStart: { httpGet: at('/app-lifecycle/hello/poststartz') },
      },
    });
    expect(JSON.stringify(pod.spec['containers'])).not.toMatch(/"(tcpSocket|grpc)":/);
    expect(containerOf(pod, 'world')).toMatchObject({
      livenessProbe: { httpGet: at('/app-health/world/livez') },
      readinessProbe: { exec: { command: ['cat', '/tmp/healthy'] } },
    });
    expect(variableOf(pod)).toBe(
      '{"/app-health/hello/livez":{"httpGet":{"port":80}},"/app-health/hello/readyz":{"httpGet":{"port":3333,"scheme":"HTTPS"}},' +
        '"/app-health/hello/startupz":{"grpc":{"port":1236,"service":null},"timeoutSeconds":20},' +
        '"/app-health/world/livez":{"grpc":{"port":1234,"service":"foo"}},"/app-lifecycle/hello/poststartz":{"tcpSocket":{"port":93}},' +
        '"/app-lifecycle/hello/prestopz":{"httpGet":{"path":"/foo","port":91,"host":"foo","scheme":"HTTP"}}}',
    );
  });

  test('with headers, the characters that Go escapes, and a number as text', () => {
    const httpGet = { path: '/a?b=<1>&c', port: '8080', httpHeaders: [{ name: 'Host', value: 'shop' }] };
    const pod = injected(podWith([{ name: 'app', readinessProbe: { httpGet, timeoutSeconds: 3 } }]));
    expect(containerOf(pod)['readinessProbe']).toEqual({
      httpGet: { ...httpGet, path: '/app-health/app/readyz', port: 15020 },
      timeoutSeconds: 3,
    });
    expect(variableOf(pod)).toBe(
      String.raw`{"/app-health/app/readyz":{"httpGet":{"path":"/a?b=\u003c1\u003e\u0026c","port":8080,"httpHeaders":[{"name":"Host","value":"shop"}]},"timeoutSeconds":3}}`,
    );
  });

  test('of init containers that go on, beside a native sidecar', () => {
    const config = configToday({ nativeSidecar: true });
    const side = { name: 'side', restartPolicy: 'Always', startupProbe: { tcpSocket: { port: 82 } } };
    const pod = injected(podWith([{ name: 'app' }], {}, { initContainers: [side] }), config);
    expect(containerOf(pod, 'side')['startupProbe']).toEqual({
      httpGet: { path: '/app-health/side/startupz', port: 15020 },
    });
    expect(variableOf(pod)).toBe('{"/app-health/side/startupz":{"tcpSocket":{"port":82}}}');
    expect(containerOf(pod, 'istio-proxy')['startupProbe']).toMatchObject({ exec: {} });
  });

  test('at the port of the annotation or of the configuration, which the init container leaves open', () => {
    const app = { name: 'app', readinessProbe: { httpGet: { port: 80 } } };
    const open = { 'traffic.sidecar.istio.io/excludeInboundPorts': '22' };
    const portOf = (pod: Pod): unknown =>
      (containerOf(pod)['readinessProbe'] as { httpGet: JsonObject }).httpGet['port'];
    const shown = (pod: Pod): unknown[] => [
      portOf(pod),
      after(argsOf(pod, 'istio-init'), '-d'),
      after(argsOf(pod, 'istio-proxy'), '--statusPort'),
    ];
    expect(shown(injected(podWith([app])))).toEqual([15020, '15020', '15020']);
    const named = { 'status.sidecar.istio.io/port': '8020', ...open };
    expect(shown(injected(podWith([app], named)))).toEqual([8020, '8020,22', '8020']);
    const mesh = readMeshConfig('defaultConfig: { statusPort: 9020 }', 'mesh', 'today');
    const pod = podWith([app], open);
    expect(shown(withInjection(pod, injectionOf(pod, today, mesh)))).toEqual([9020, '9020,22', '9020']);
    const none = injected(podWith([app], { ...open, 'status.sidecar.istio.io/port': '0' }));
    expect([...shown(none), variableOf(none)]).toEqual([80, '22', '0', undefined]);
  });
});

describe('probes stay', () => {
  const app = { name: 'app', livenessProbe: { httpGet: { port: 80 } } };
  const stays = (pod: Pod, config?: InjectConfig): void => {
    const made = injected(pod, config);
    expect(containerOf(made)).toEqual(containerOf(pod));
    expect(variableOf(made)).toBe(undefined);
  };

  test('where the annotation, else the configuration says so', () => {
    const annotated = (value: string): Pod => podWith([app], { 'sidecar.istio.io/rewriteAppHTTPProbers': value });
    const off = readInjectConfig(JSON.stringify({ ...today, rewriteAppHTTPProbe: false }), 'config', 'today');
    for (const word of ['false', 'F', '0']) stays(annotated(word));
    stays(podWith([app]), off);
    for (const word of ['true', 'T', '1']) expect(variableOf(injected(annotated(word), off))).toBeDefined();
    expect(() => injected(annotated('yes'))).toThrow('"yes" is not true or false');
    expect(() => readInjectConfig('{ template: x, rewriteAppHTTPProbe: on-demand }', 'config', 'today')).toThrow(
      'rewriteAppHTTPProbe is not true or false',
    );
  });

  test('in the style 1.0, and beside a template without an agent', () => {
    stays(podWith([app]), CONFIGS['1.0']);
    stays(podWith([app]), { ...today, template: 'containers: [{ name: other, image: x }]' });
  });

  test('that name an unknown port or the port of the agent; a person is told of the former', () => {
    const unknown = podWith([{ name: 'app', livenessProbe: { httpGet: { port: 'http' } } }]);
    stays(unknown);
    expect(injectionOf(unknown).warnings).toEqual([
      'livenessProbe of container app names a port that it does not have',
    ]);
    stays(podWith([{ name: 'app', livenessProbe: { httpGet: { path: '/healthz/ready', port: 15020 } } }]));
  });

  test('whatever a stranger wrote in their place', () => {
    const ports = [null, '', [], {}, true, '1.5', 'constructor'].map((port) => ({ tcpSocket: { port } }));
    const probes = [null, 7, [], {}, { httpGet: null }, { httpGet: {} }, { exec: {} }, { grpc: { port: '1' } }];
    for (const probe of [...probes, ...ports])
      stays(podWith([{ name: 'app', livenessProbe: probe, lifecycle: { preStop: probe } }]));
    stays(podWith([{ name: 'app', lifecycle: 7, ports: 'none', startupProbe: { tcpSocket: { port: 'x' } } }]));
  });

  test('a host is asked by the kubelet, not by the agent: a person is told', () => {
    const pod = podWith([{ name: 'app', livenessProbe: { httpGet: { port: 80, host: '127.0.0.1' } } }]);
    expect(injectionOf(pod).warnings).toEqual([expect.stringContaining('livenessProbe of container app has a host')]);
  });
});

describe('a second injection', () => {
  const first = podWith([
    {
      name: 'app',
      ports: [{ name: 'http', containerPort: 80 }],
      livenessProbe: { timeoutSeconds: 2, httpGet: { port: 'http', path: '/live', scheme: 'HTTPS' }, periodSeconds: 5 },
      readinessProbe: { tcpSocket: { port: 81 }, periodSeconds: 5 },
      startupProbe: { grpc: { port: 82 } },
      lifecycle: { preStop: { httpGet: { port: 83 } } },
    },
  ]);
  const once = injected(first);

  test('changes nothing', () => {
    expect(JSON.stringify(injected(once))).toBe(JSON.stringify(once));
    expect(injectionOf(once).probes).toEqual(new Map());
  });

  test('takes probes that were added or edited since', () => {
    const edited = structuredClone(once) as unknown as { spec: { containers: Record<string, unknown>[] } };
    const [app] = edited.spec.containers as [Record<string, unknown>];
    app['readinessProbe'] = { httpGet: { path: '/new', port: 8080 } };
    edited.spec.containers.push({ name: 'late', livenessProbe: { tcpSocket: { port: 90 } } });
    const probers = JSON.parse(String(variableOf(injected(edited as unknown as Pod)))) as JsonObject;
    expect(probers).toMatchObject({
      '/app-health/app/livez': { httpGet: { path: '/live', port: 80, scheme: 'HTTPS' } },
      '/app-health/app/readyz': { httpGet: { path: '/new', port: 8080 } },
      '/app-health/late/livez': { tcpSocket: { port: 90 } },
    });
  });

  test('gives probes back to the kubelet: by the annotation, and in the style 1.0', () => {
    const numbered = structuredClone(containerOf(first)) as { livenessProbe: { httpGet: JsonObject } };
    numbered.livenessProbe.httpGet = { ...numbered.livenessProbe.httpGet, port: 80 };
    const off = { ...once.metadata, annotations: { 'sidecar.istio.io/rewriteAppHTTPProbers': 'false' } };
    expect(containerOf(injected({ ...once, metadata: off }))).toEqual({
      ...numbered,
      startupProbe: { grpc: { port: 82, service: null } },
    });
    const old = injected(once, CONFIGS['1.0']);
    expect(containerOf(old)['readinessProbe']).toEqual({ tcpSocket: { port: 81 }, periodSeconds: 5 });
    expect(variableOf(old)).toBe(undefined);
  });

  test('leaves probes of the agent as they are if the originals are lost', () => {
    for (const value of [undefined, 'not JSON', '[]', '{"/app-health/app/livez":7}', '{"/app-health/app/livez":{}}']) {
      const broken = structuredClone(once) as unknown as { spec: { containers: { name: string; env?: unknown }[] } };
      for (const container of broken.spec.containers)
        if (container.name === 'istio-proxy') container.env = [{ name: 'ISTIO_KUBE_APP_PROBERS', value }];
      const again = injected(broken as unknown as Pod);
      expect(containerOf(again)).toEqual(containerOf(once));
      expect(variableOf(again)).toBe(undefined);
    }
  });

  test('equals the first, for all probes', () => {
    const port = fc.oneof(fc.integer({ min: 1, max: 65535 }), fc.constant('http'), fc.constant('81'));
    const action = fc.oneof(
      fc.record({
        httpGet: fc.record(
          { port, path: fc.string(), scheme: fc.constantFrom('HTTP', 'HTTPS') },
          { requiredKeys: ['port'] },
        ),
      }),
      fc.record({ tcpSocket: fc.record({ port }) }),
      fc.record({
        grpc: fc.record({ port: fc.integer({ min: 1, max: 65535 }), service: fc.string() }, { requiredKeys: ['port'] }),
      }),
      fc.record({ exec: fc.record({ command: fc.array(fc.string()) }) }),
    );
    const probe = fc
      .tuple(action, fc.record({ timeoutSeconds: fc.nat(9), periodSeconds: fc.nat(9) }, { requiredKeys: [] }))
      .map(([made, times]) => ({ ...made, ...times }));
    const container = fc.record(
      { livenessProbe: probe, readinessProbe: probe, startupProbe: probe, lifecycle: fc.record({ preStop: action }) },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(container, (probes) => {
        const made = injected(podWith([{ name: 'app', ports: [{ name: 'http', containerPort: 80 }], ...probes }]));
        expect(JSON.stringify(injected(made))).toBe(JSON.stringify(made));
      }),
      { numRuns: 200 },
    );
  });
});
