import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { run } from '../../e2e/command.ts';
import { fixture } from '../../parts/mesh/read-mesh.ts';

const folder = mkdtempSync(join(tmpdir(), 'sluice-mesh-config-'));
afterAll(() => rmSync(folder, { recursive: true }));
const written = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const services = written('services.yaml', fixture('services.yaml'));

describe('sluice mesh lint --meshConfigFile', () => {
  test('warns of words without effect', async () => {
    const config = written('words.yaml', 'rootNamespace: root\ningressService: istio-ingressgateway\n');
    const { code, out } = await run(['mesh', 'lint', services, '--meshConfigFile', config]);
    expect(out).toContain('words.yaml:2:1 MESH_RULE (warning) ingressService of a MeshConfig has no effect here');
    expect(code).toBe(0);
  });

  test('prints errors, and says that the mesh would not start', async () => {
    const config = written('wrong.yaml', 'outboundTrafficPolicy: { mode: MAYBE }\n');
    const { code, out, err } = await run(['mesh', 'lint', services, '--meshConfigFile', config]);
    expect(out).toContain('wrong.yaml:1:32 MESH_FIELD');
    expect(err).toContain('CLI_MESH the MeshConfig has 1 error');
    expect(code).not.toBe(0);
  });

  test('prints an error in a discovery selector at its place', async () => {
    const config = written('selectors.yaml', 'discoverySelectors:\n- matchExpressions: [{ key: a, operator: Is }]\n');
    const { code, out } = await run(['mesh', 'lint', services, '--meshConfigFile', config]);
    expect(out).toMatch(/selectors\.yaml:2:42 MESH_FIELD .*operator: expected one of "In"\|"NotIn"/);
    expect(code).not.toBe(0);
  });

  test('leaves out the objects of files in namespaces without a Namespace, with a warning', async () => {
    const config = written('all.yaml', 'discoverySelectors: [{}]\n');
    const { code, out } = await run(['mesh', 'lint', services, '--meshConfigFile', config]);
    expect(out).toMatch(/MESH_UNUSED \(warning\) the namespace default has no Namespace object/);
    expect(code).toBe(0);
  });

  test('names a file that cannot be read', async () => {
    const { code, err } = await run(['mesh', 'lint', services, '--meshConfigFile', join(folder, 'none.yaml')]);
    expect(err).toMatch(/CLI_USAGE --meshConfigFile .*none\.yaml: .*ENOENT/);
    expect(code).toBe(2);
  });
});

test('discovery selectors and --watch-namespaces exclude each other', async () => {
  const config = written('selectors-of-server.yaml', 'discoverySelectors: [{ matchLabels: { mesh: main } }]\n');
  const ran = await run(['mesh', '--in-cluster', '--watch-namespaces', 'shop', '--meshConfigFile', config]);
  expect(ran.err).toMatch(/^CLI_USAGE --watch-namespaces and discoverySelectors of the MeshConfig exclude each other/);
  expect(ran.code).toBe(2);
});
