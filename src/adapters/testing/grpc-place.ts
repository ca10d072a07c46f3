/** The place `grpc` of the kit: the adapter behind `sluice.plugin.v1` at a Unix socket, served in this process. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Adapter } from '../contract.ts';
import type { HandlerEnvironment, HandlerToOpen } from '../open-handler.ts';
import { asDialled } from '../remote/as-dialled.ts';
import { Connections, openDialled } from '../remote/open-dialled.ts';
import { pluginMethods } from '../remote/plugin-service.ts';
import { listen, type Transport } from '../../transport/index.ts';
import type { OpenedAt } from './places.ts';

const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** `written`: the config as an operator writes it, which is what crosses. */
export async function openOverGrpc(
  adapter: Adapter,
  toOpen: HandlerToOpen,
  environment: HandlerEnvironment,
  written: unknown,
): Promise<OpenedAt> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-grpc-'));
  const address = `unix:${join(folder, 'plugin.sock')}`;
  const methods = new Map(pluginMethods([adapter], environment));
  const serve = (): Promise<Transport> =>
    listen(methods, {
      host: address,
      port: 0,
      maxMessageBytes: MAX_MESSAGE_BYTES,
      onFault(path, error) {
        environment.log.error('the plugin service failed', { path, error });
      },
    });
  let server = serve();
  await server;
  const end = async (): Promise<void> => {
    await (await server).drain(0);
    rmSync(folder, { recursive: true, force: true });
  };
  const dialled = asDialled(adapter);
  try {
    const config: unknown = await dialled.config.parseAsync(written);
    const open = await openDialled(dialled, { ...toOpen, config }, environment, { address }, new Connections());
    return {
      open: { ...open, close: async () => open.close().then(end) },
      kill() {
        server = server.then(async (killed) => killed.drain(0)).then(serve);
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}
