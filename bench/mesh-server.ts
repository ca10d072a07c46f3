/** The control plane of bench/mesh.ts, as a process of its own: a mesh in memory that changes by command. */
import { Findings } from '../src/yaml/findings.ts';
import { ControlPlane } from '../src/mesh/control-plane.ts';
import { DEFAULT_SETTINGS, meshOf } from '../src/mesh/model/mesh.ts';
import { type MeshObjects, readObjects } from '../src/mesh/sources/objects.ts';
import { listen } from '../src/transport/index.ts';
import { XdsServer } from '../src/xds/index.ts';
import {
  crowdObjects,
  crowdRule,
  crowdSlice,
  type CrowdSize,
  type KubernetesObject,
} from '../test/parts/mesh/crowd.ts';

const size = JSON.parse(process.argv[2] ?? '{}') as CrowdSize;
const HEAP_SETTLES_MS = 300;

const read = async (objects: readonly KubernetesObject[]): Promise<MeshObjects> =>
  readObjects(
    objects.map((one) => ({ file: `${one.kind}-${one.metadata.name}.yaml`, text: JSON.stringify(one) })),
    new Findings(),
  );
let objects = await read(crowdObjects(size));
const plane = new ControlPlane(meshOf(objects, DEFAULT_SETTINGS), '0');
const server = new XdsServer({
  source: plane,
  onFault: (proxy, error) => console.error(proxy.id, error),
  onRefused: (proxy, { why }) => console.error(proxy.id, why),
});
const transport = await listen(server.methods, {
  host: '127.0.0.1',
  port: 0,
  maxMessageBytes: 4 << 20,
  onFault: (path, error) => console.error(path, error),
});
console.log(`listens at ${transport.port}`);

/** Replaces objects of the same kind and name, as a watch of Kubernetes does. */
async function replace(kind: 'EndpointSlice' | 'VirtualService', changed: KubernetesObject): Promise<void> {
  const now = await read([changed]);
  const [one] = now[kind];
  const isSame = ({ origin }: { readonly origin: { readonly name: string; readonly namespace: string } }): boolean =>
    origin.name === changed.metadata.name && origin.namespace === changed.metadata.namespace;
  objects = {
    ...objects,
    [kind]: (objects[kind] as readonly (typeof one)[]).map((old) =>
      old !== undefined && isSame((old.origin as never) && old) ? one : old,
    ),
  };
}
let longestTurnMs = 0;
let lastMs = performance.now();
setInterval(() => {
  const nowMs = performance.now();
  longestTurnMs = Math.max(longestTurnMs, nowMs - lastMs - 5);
  lastMs = nowMs;
}, 5);
let version = 0;

const COMMANDS = {
  async change([kind, at, count]: readonly [string, number, number]) {
    const beganMs = performance.now();
    if (kind === 'endpoint') await replace('EndpointSlice', crowdSlice(at, size, count));
    else await replace('VirtualService', crowdRule(at, size, count));
    const mesh = meshOf(objects, DEFAULT_SETTINGS, plane.mesh);
    const modelMs = performance.now() - beganMs;
    plane.use(mesh, String(++version));
    server.changed();
    return modelMs;
  },
  async figures() {
    const { user, system } = process.cpuUsage();
    return {
      cpuMs: (user + system) / 1000,
      proxies: server.proxies().length,
      synced: server.proxies().filter((one) => one.isSynced).length,
    };
  },
  async longestTurn() {
    const was = longestTurnMs;
    longestTurnMs = 0;
    return was;
  },
  async memory() {
    for (let last = Infinity; ;) {
      globalThis.gc?.();
      await new Promise((resolve) => setTimeout(resolve, HEAP_SETTLES_MS));
      globalThis.gc?.();
      const { heapUsed, external, rss } = process.memoryUsage();
      if (last - heapUsed < 100_000) return { usedMb: (heapUsed + external) / 1e6, rssMb: rss / 1e6 };
      last = heapUsed;
    }
  },
} as const;

process.on('message', ({ id, name, args }: { id: number; name: keyof typeof COMMANDS; args: never }) => {
  void COMMANDS[name](args).then((result: unknown) => process.send?.({ id, result }));
});
process.on('disconnect', () => process.exit(0));
