/**
 * A pod as `sluice inject --style today` writes it, with the image of deploy/docker/Dockerfile.proxy: its init container and its sidecar
 * run with their own arguments, users and mounts, beside an application, in one network. The control plane runs beside them, under its
 * name.
 */
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../../src/adapters/testing/index.ts';
import { ISSUER, tokenIssuer } from '../../test/parts/identity/secure-port.ts';
import type { Image } from './build-image.ts';
import { type Container, POD_IP } from './container.ts';
import { ok } from './helm.ts';
import { type Manifest, manifestsOf } from './manifests.ts';
import { gets, sluice } from './pod.ts';
import type { Runs } from './runs.ts';

interface InjectedContainer {
  readonly name: string;
  readonly args: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly securityContext: {
    readonly runAsUser: number;
    readonly runAsGroup: number;
    readonly capabilities: { readonly add?: readonly string[] };
  };
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
}
interface InjectedPod extends Manifest {
  readonly spec: {
    readonly containers: readonly InjectedContainer[];
    readonly initContainers: readonly InjectedContainer[];
  };
}

/** Certificates and an Envoy take longer than a server. */
const WITHIN_MS = 90_000;
const APP_PORT = 8080;
const SERVICE_IP = '10.96.0.10';
/** As in the template of injection. */
const CONTROL_PLANE = 'sluice-mesh.istio-system.svc';
const IDENTITY = 'spiffe://cluster.local/ns/shop/sa/web';
/** Answers with the header in which its sidecar names the caller. */
const APP = `require('node:http').createServer((request, response) =>
  response.end(String(request.headers['x-forwarded-client-cert']))).listen(${APP_PORT})`;

const POD = JSON.stringify({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web-1', namespace: 'shop', labels: { app: 'web' } },
  spec: {
    serviceAccountName: 'web',
    containers: [{ name: 'web', image: 'web', ports: [{ containerPort: APP_PORT }] }],
  },
});
/** As the API server has them once the pod runs. */
const OBJECTS = [
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'shop' },
    spec: {
      clusterIP: SERVICE_IP,
      selector: { app: 'web' },
      ports: [{ name: 'http', port: 80, targetPort: APP_PORT }],
    },
  },
  {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web-1', namespace: 'shop', labels: { app: 'web', 'security.istio.io/tlsMode': 'istio' } },
    spec: { serviceAccountName: 'web', containers: [] },
    status: { podIP: POD_IP, phase: 'Running' },
  },
  {
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: { name: 'default', namespace: 'istio-system' },
    spec: { mtls: { mode: 'STRICT' } },
  },
];

/** Variables that the kubelet makes of fields of the pod. */
const DOWNWARD: Readonly<Record<string, string>> = {
  POD_NAME: 'web-1',
  POD_NAMESPACE: 'shop',
  INSTANCE_IP: POD_IP,
  SERVICE_ACCOUNT: 'web',
};

export async function runInjectedPod(runs: Runs, image: Image): Promise<void> {
  const folder = runs.folder();
  const app = await runs.container({ command: ['node', '-e', APP], user: { uid: 1000, gid: 1000 } }, image);
  assert.match(app.exec(['sluice', 'iptables', '--help']).out, /^Usage: sluice iptables/);
  const { init, proxy } = injected(app, folder);
  intercept(app, image, init);
  const issuer = await tokenIssuer();
  writeFileSync(join(folder, 'mesh.json'), JSON.stringify({ apiVersion: 'v1', kind: 'List', items: OBJECTS }));
  writeFileSync(join(folder, 'jwks.json'), JSON.stringify(issuer.jwks));
  const flags = `--xds 127.0.0.1:15010 --secure 127.0.0.1:15012 --secure-names ${CONTROL_PLANE} --admin 127.0.0.1:15014
    --ca-folder ${folder}/ca --jwks ${folder}/jwks.json --token-issuer ${ISSUER}`;
  const plane = app.spawnBeside(sluice('mesh', join(folder, 'mesh.json'), ...flags.split(/\s+/)));
  try {
    await eventually(() => assert.match(plane.printed(), /Ctrl-C stops it/), WITHIN_MS);
    const mounts = mountsOf(runs, proxy, await issuer.token('shop:web'), join(folder, 'ca/root-cert.pem'));
    writeFileSync(join(folder, 'hosts'), `127.0.0.1 localhost ${CONTROL_PLANE}\n`);
    const sidecar = await runs.container(
      {
        args: proxy.args,
        env: Object.fromEntries((proxy.env ?? []).map(({ name, value }) => [name, value ?? DOWNWARD[name] ?? ''])),
        user: { uid: proxy.securityContext.runAsUser, gid: proxy.securityContext.runAsGroup },
        mounts: { '/etc/hosts': join(folder, 'hosts'), ...mounts },
        hasTmp: false,
        besides: app,
      },
      image,
    );
    const printed = (): string => `${sidecar.printed()}\n${plane.printed()}`;
    await eventually(
      () => assert.equal(app.beside(gets(`http://${POD_IP}:15020/healthz/ready`)).code, 0, printed()),
      WITHIN_MS,
    );
    await eventually(() => {
      const { out } = app.beside(gets(`http://${SERVICE_IP}/`));
      assert.ok(out.includes(`URI=${IDENTITY}`), `${out}\n${printed()}`);
    }, WITHIN_MS);
    await sidecar.stop(20_000);
  } finally {
    await plane.stop();
  }
  await app.stop();
  ok('Dockerfile.proxy as init container and sidecar of an injected pod: a call goes out and in by mutual TLS');
}

/** The containers that are added to the pod. */
function injected(
  app: Container,
  folder: string,
): { readonly init: InjectedContainer; readonly proxy: InjectedContainer } {
  writeFileSync(join(folder, 'pod.yaml'), POD);
  const { out } = app.beside(sluice('inject', '-f', join(folder, 'pod.yaml'), '--style', 'today'));
  const [pod] = manifestsOf(out) as InjectedPod[];
  const init = pod?.spec.initContainers.find(({ name }) => name === 'istio-init');
  const proxy = pod?.spec.containers.find(({ name }) => name === 'istio-proxy');
  assert.ok(init !== undefined && proxy !== undefined, out);
  return { init, proxy };
}

/** Runs the init container in the network of the application, which gets a device beside lo: what leaves by it is intercepted. */
function intercept(app: Container, { config }: Image, { args, securityContext }: InjectedContainer): void {
  for (const command of [
    'ip link add eth0 type veth peer name peer0',
    'ip addr add 10.254.0.2/24 dev eth0',
    'ip link set eth0 up',
    'ip link set peer0 up',
    'ip route add default dev eth0',
  ])
    assert.equal(app.beside(command.split(' ')).code, 0, command);
  const as = {
    uid: securityContext.runAsUser,
    gid: securityContext.runAsGroup,
    capabilities: securityContext.capabilities.add ?? [],
  };
  const command = [...config.Entrypoint, ...args];
  assert.notEqual(app.exec(command, { ...as, capabilities: [] }).code, 0, 'rules are written without NET_ADMIN');
  const rules = app.exec(command, as);
  assert.equal(rules.code, 0, rules.out);
}

/** The volumes of the sidecar, as the kubelet fills them. */
function mountsOf(
  runs: Runs,
  { volumeMounts = [] }: InjectedContainer,
  token: string,
  roots: string,
): Readonly<Record<string, string>> {
  const [envoy, tokens, authority] = [runs.folder(), runs.folder(), runs.folder()];
  chmodSync(envoy, 0o777); // an emptyDir
  writeFileSync(join(tokens, 'istio-token'), token);
  copyFileSync(roots, join(authority, 'root-cert.pem'));
  const volumes: Readonly<Record<string, string>> = {
    'istio-envoy': `${envoy}:rw`,
    'istio-token': tokens,
    'istiod-ca-cert': authority,
  };
  return Object.fromEntries(
    volumeMounts.map(({ name, mountPath }) => {
      assert.ok(volumes[name] !== undefined, `the volume ${name} is not known here`);
      return [mountPath, volumes[name]];
    }),
  );
}
