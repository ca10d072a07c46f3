/**
 * **In**: paths of files and folders with objects of Istio and Kubernetes. **Out**: the mesh that they make, and every finding.
 * **Fails**: with findings and no mesh; files are read whole or not at all.
 */
import { createHash } from 'node:crypto';
import { readPolicyFiles } from '../../yaml/policy-files.ts';
import { type Finding, Findings } from '../../yaml/findings.ts';
import type { Mesh, MeshSettings } from '../model/mesh.ts';
import { Composition } from './composition.ts';
import { type MeshObjects, noObjects, readObjects } from './objects.ts';

export interface ReadFiles {
  /** undefined if there are errors. */
  readonly objects: MeshObjects | undefined;
  readonly findings: readonly Finding[];
  /** Equal for equal texts: a digest. */
  readonly version: string;
}

export interface ReadMesh extends Pick<ReadFiles, 'findings' | 'version'> {
  /** undefined if there are errors. */
  readonly mesh: Mesh | undefined;
}

export async function readFiles(paths: readonly string[]): Promise<ReadFiles> {
  const { files, findings: unreadable } = await readPolicyFiles(paths);
  const findings = new Findings();
  const objects = await readObjects(files, findings);
  const all = [...unreadable, ...findings.sorted(files.map(({ file }) => file))];
  const hash = createHash('sha256');
  for (const { file, text } of files) hash.update(`${file.length} ${text.length} ${file}${text}`);
  return {
    objects: all.some(({ severity }) => severity === 'error') ? undefined : objects,
    findings: all,
    version: hash.digest('hex').slice(0, 12),
  };
}

export async function readMesh(paths: readonly string[], settings: MeshSettings): Promise<ReadMesh> {
  const { objects, findings, version } = await readFiles(paths);
  if (objects === undefined) return { mesh: undefined, findings, version };
  const composed = new Composition(settings).make(objects, noObjects());
  return { mesh: composed.mesh, findings: [...findings, ...composed.findings], version };
}
