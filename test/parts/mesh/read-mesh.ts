import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Findings } from '../../../src/yaml/findings.ts';
import { DEFAULT_SETTINGS, type Mesh, type MeshSettings, meshOf } from '../../../src/mesh/model/mesh.ts';
import { readObjects } from '../../../src/mesh/sources/objects.ts';

export const fixture = (name: string): string => readFileSync(join(import.meta.dirname, name), 'utf8');

export interface ReadMesh {
  readonly mesh: Mesh;
  /** `file:line:col CODE message` */
  readonly findings: readonly string[];
}

export async function readMesh(
  texts: Readonly<Record<string, string>>,
  settings: Partial<MeshSettings> = {},
): Promise<ReadMesh> {
  const findings = new Findings();
  const files = Object.entries(texts).map(([file, text]) => ({ file, text }));
  const objects = await readObjects(files, findings);
  return {
    mesh: meshOf(objects, { ...DEFAULT_SETTINGS, ...settings }),
    findings: findings
      .sorted(Object.keys(texts))
      .map(({ position: { file, line, column }, code, message }) => `${file}:${line}:${column} ${code} ${message}`),
  };
}
