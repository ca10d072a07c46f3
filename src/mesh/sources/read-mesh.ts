/**
 * **In**: paths of files and folders with objects of Istio and Kubernetes. **Out**: the mesh that they make, and every finding.
 * **Fails**: with findings and no mesh; a mesh is read whole or not at all.
 */
import { createHash } from 'node:crypto';
import { readPolicyFiles } from '../../yaml/policy-files.ts';
import { type Finding, Findings } from '../../yaml/findings.ts';
import { checkReferences } from '../check-references.ts';
import { type Mesh, type MeshSettings, meshOf } from '../model/mesh.ts';
import { readObjects } from './objects.ts';

export interface ReadMesh {
  /** undefined if there are errors. */
  readonly mesh: Mesh | undefined;
  readonly findings: readonly Finding[];
  /** Equal for equal texts: a digest. */
  readonly version: string;
}

export async function readMesh(paths: readonly string[], settings: MeshSettings): Promise<ReadMesh> {
  const { files, findings: unreadable } = await readPolicyFiles(paths);
  const findings = new Findings();
  const objects = await readObjects(files, findings);
  const mesh = meshOf(objects, settings);
  if (!findings.hasErrors) checkReferences(mesh, findings);
  const all = [...unreadable, ...findings.sorted(files.map(({ file }) => file))];
  const hash = createHash('sha256');
  for (const { file, text } of files) hash.update(`${file.length} ${text.length} ${file}${text}`);
  return {
    mesh: all.some(({ severity }) => severity === 'error') ? undefined : mesh,
    findings: all,
    version: hash.digest('hex').slice(0, 12),
  };
}
