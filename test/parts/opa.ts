/** OPA with its plugin for Envoy, built by Go into the cache on first use; it has the commands of `opa`, too. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { goBuild } from './go-build.ts';

const MODULE = 'github.com/open-policy-agent/opa-envoy-plugin';
const VERSION = 'v1.10.0-envoy';
/** Of the module's content. The checksum database does not know each version. */
const SUMS = [
  `${MODULE} ${VERSION} h1:N+Le+sDTrGfqoBNVrSk2CoZNWWxQT9pxA94Lnq3Pn0A=`,
  `${MODULE} ${VERSION}/go.mod h1:aO2UQzpZ0GrorKvwKpF9RefRjCI9eHZi8h8ZiP8e2Yg=`,
];

export async function opaProgram(): Promise<string> {
  const folder = resolve('.cache/opa-envoy', VERSION);
  const program = join(folder, 'opa-envoy');
  if (existsSync(program)) return program;
  await mkdir(folder, { recursive: true });
  await goBuild({
    folder,
    program: 'opa-envoy',
    requires: `require ${MODULE} ${VERSION}`,
    sums: SUMS,
    from: `${MODULE}/cmd/opa-envoy-plugin`,
  });
  return program;
}
