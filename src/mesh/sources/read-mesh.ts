/**
 * **In**: paths of files and folders with objects of Istio and Kubernetes. **Out**: the mesh that they make, and every finding.
 * **Fails**: with findings and no mesh; files are read whole or not at all.
 */
import type { Mesh, MeshSettings } from '../model/mesh.ts';
import { Composition } from './composition.ts';
import { MeshFiles, type ReadFiles } from './mesh-files.ts';
import { noObjects } from './objects.ts';

export interface ReadMesh extends Pick<ReadFiles, 'findings' | 'version'> {
  /** undefined if there are errors. */
  readonly mesh: Mesh | undefined;
}

export async function readMesh(paths: readonly string[], settings: MeshSettings): Promise<ReadMesh> {
  const { objects, findings, version } = await new MeshFiles().read(paths);
  if (objects === undefined) return { mesh: undefined, findings, version };
  const composed = new Composition(settings).make(objects, noObjects());
  return { mesh: composed.mesh, findings: [...findings, ...composed.findings], version };
}
