/** Follows the control plane that the settings name. */
import { readFile } from 'node:fs/promises';
import { followXds } from '../../frontends/ratelimit/xds-configs.ts';
import type { FollowXds } from '../../ratelimit/serve/limit-source.ts';
import { namedValues } from '../../ratelimit/settings/setting.ts';
import type { Settings } from '../../ratelimit/settings/settings.ts';
import { dialGrpc } from '../../transport/index.ts';
import type { OwnLog } from '../../log/log.ts';

export const controlPlane =
  (settings: Settings, log: OwnLog): FollowXds =>
  async (take) => {
    const file = async (path: string): Promise<Buffer | undefined> => (path === '' ? undefined : readFile(path));
    const [ca, cert, key] = await Promise.all(
      [
        settings.CONFIG_GRPC_XDS_SERVER_TLS_CACERT,
        settings.CONFIG_GRPC_XDS_CLIENT_TLS_CERT,
        settings.CONFIG_GRPC_XDS_CLIENT_TLS_KEY,
      ].map(file),
    );
    const serverName = settings.CONFIG_GRPC_XDS_SERVER_TLS_SAN;
    const client = dialGrpc(
      settings.CONFIG_GRPC_XDS_SERVER_URL,
      settings.CONFIG_GRPC_XDS_SERVER_USE_TLS
        ? {
            tls: {
              ...(ca === undefined ? {} : { ca }),
              ...(cert === undefined ? {} : { cert }),
              ...(key === undefined ? {} : { key }),
              ...(serverName === '' ? {} : { serverName }),
            },
          }
        : {},
    );
    const following = followXds({
      client,
      take,
      nodeId: settings.CONFIG_GRPC_XDS_NODE_ID,
      nodeMetadata: Object.fromEntries(namedValues(settings.CONFIG_GRPC_XDS_NODE_METADATA, '=')),
      headers: Object.fromEntries(namedValues(settings.CONFIG_GRPC_XDS_CLIENT_ADDITIONAL_HEADERS, ':')),
      firstPauseMs: settings.XDS_CLIENT_BACKOFF_INITIAL_INTERVAL,
      maxPauseMs: settings.XDS_CLIENT_BACKOFF_MAX_INTERVAL,
      onTrouble: (why) =>
        log.warn('the control plane is unreachable; the limits in force stay', {
          at: settings.CONFIG_GRPC_XDS_SERVER_URL,
          why,
        }),
    });
    return {
      async close() {
        await following.close();
        client.close();
      },
    };
  };
