/** Files that are read again: what has not changed keeps its objects, and all is as if it was read for the first time. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DEFAULT_SETTINGS } from '../../../src/mesh/model/mesh.ts';
import { KINDS, type Kind } from '../../../src/mesh/rules/kinds.ts';
import { Composition } from '../../../src/mesh/sources/composition.ts';
import { MeshFiles, type ReadFiles } from '../../../src/mesh/sources/mesh-files.ts';
import { type MeshObjects, noObjects } from '../../../src/mesh/sources/objects.ts';
import { Random } from '../../parts/random.ts';

const entry = (name: string, address: string, kind = 'ServiceEntry'): string =>
  `apiVersion: networking.istio.io/v1
kind: ${kind}
metadata: { name: ${name} }
spec:
  hosts: [${name}.example.com]
  ports: [{ number: 80, name: http, protocol: HTTP }]
  resolution: STATIC
  endpoints: [{ address: ${address} }]
`;
const rule = (name: string, weight: number): string =>
  `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name} }
spec: { hosts: [${name}.example.com], http: [{ route: [{ destination: { host: ${name}.example.com }, weight: ${weight} }] }] }
`;

const shown = ({ objects, findings, version }: ReadFiles): unknown => ({
  version,
  findings: findings.map(({ code, message, position: { file, line, column } }) => [code, message, file, line, column]),
  objects:
    objects &&
    (Object.keys(KINDS) as Kind[]).flatMap((kind) =>
      objects[kind].map(({ origin, spec }) => {
        const { name, namespace, place } = origin;
        return [kind, namespace, name, spec, place.source.positionAt(place.start)];
      }),
    ),
});

test('objects of files that stay are the same values, and so are the services, endpoints and lists of them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-mesh-files-'));
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
  try {
    write('a.yaml', entry('a', '10.0.0.1'));
    write('b.yaml', entry('b', '10.0.0.2'));
    write('rules.yaml', rule('a', 100));
    const files = new MeshFiles();
    const composition = new Composition(DEFAULT_SETTINGS);
    const read = async (): Promise<MeshObjects> => (await files.read([folder])).objects ?? expect.unreachable();
    const before = await read();
    const { mesh } = composition.make(before, noObjects());
    write('rules.yaml', rule('a', 90));
    const now = await read();
    expect(now.VirtualService).not.toBe(before.VirtualService);
    expect(now.ServiceEntry).toBe(before.ServiceEntry);
    const { mesh: next } = composition.make(now, noObjects());
    expect([...next.services.values()].every((service) => service === mesh.services.get(service.host))).toBe(true);
    expect([...next.endpoints].every(([host, list]) => list === mesh.endpoints.get(host))).toBe(true);
    write('b.yaml', entry('b', '10.0.0.3'));
    const last = await read();
    expect(last.VirtualService).toBe(now.VirtualService);
    expect(last.ServiceEntry[0]).toBe(before.ServiceEntry[0]);
    expect(last.ServiceEntry[1]).not.toBe(before.ServiceEntry[1]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('after each of many changes, with errors and duplicates in some, files are read as if it was for the first time', async () => {
  const random = new Random(7);
  const folder = mkdtempSync(join(tmpdir(), 'sluice-mesh-files-'));
  const document = (): string =>
    random.one([
      entry(random.one(['a', 'b', 'c']), `10.0.0.${random.below(9)}`),
      entry(random.one(['d', 'e']), '10.0.0.1'),
      rule(random.one(['a', 'b', 'c']), 1 + random.below(100)),
      rule(random.one(['f', 'g']), 100),
      random.chance(3) ? entry('x', '10.0.0.1', 'ServiceEntri') : rule('h', 100),
      random.chance(3) ? `${entry('y', '10.0.0.1')}  extra: 1\n` : entry('y', '10.0.0.1'),
    ]);
  try {
    const files = new MeshFiles();
    const seen = new Set<boolean>();
    for (let step = 0; step < 60; step++) {
      const path = join(folder, `${random.below(4)}.yaml`);
      if (random.chance(5)) rmSync(path, { force: true });
      else writeFileSync(path, random.list([1, 2], document).join('---\n'));
      const read = await files.read([folder]);
      expect(shown(read)).toEqual(shown(await new MeshFiles().read([folder])));
      seen.add(read.objects === undefined);
    }
    expect(seen.size).toBe(2);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
