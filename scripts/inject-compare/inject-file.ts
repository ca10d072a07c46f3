import { createReadStream } from 'node:fs';
import { text } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { defaultMeshConfig, type MeshConfig } from '../../src/inject/configs.ts';
import type { InjectConfig } from '../../src/inject/contract.ts';
import { injectManifests } from '../../src/inject/manifests.ts';

/** The manifests of a file, injected. */
export const injectedFile = (
  file: string,
  config: InjectConfig,
  mesh: MeshConfig = defaultMeshConfig(config.style),
): Promise<string> =>
  text(Readable.from(injectManifests(createReadStream(file), { config, mesh, file, onMessage: () => undefined })));
