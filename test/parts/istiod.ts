/**
 * istiod (`pilot-discovery`), Istio's own control plane, for comparisons: built by Go into the cache on first use, which takes ten minutes on a
 * free machine. It reads its mesh from a Kubernetes API server.
 */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { say } from './fetch.ts';
import { goBuild } from './go-build.ts';

/** Of the main branch; releases are not published as a module that builds without replacements. */
const ISTIO = 'v0.0.0-20260827124520-eed52ebb66ad';
const FOLDER = join(import.meta.dirname, '../../.cache/parts', `istio-${ISTIO.slice(-12)}`);
const PROGRAM = 'pilot-discovery';

export const isIstiodBuilt = (): boolean => existsSync(join(FOLDER, PROGRAM));

export async function istiodProgram(): Promise<string> {
  if (!isIstiodBuilt()) {
    await mkdir(FOLDER, { recursive: true });
    say('building pilot-discovery of Istio (10 minutes and more)');
    await goBuild({
      folder: FOLDER,
      program: PROGRAM,
      requires: `require istio.io/istio ${ISTIO}`,
      from: 'istio.io/istio/pilot/cmd/pilot-discovery',
      flags: ['-tags', 'vtprotobuf,disable_pgv'],
    });
  }
  return join(FOLDER, PROGRAM);
}
