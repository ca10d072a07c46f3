import { describe, expect, test } from 'vitest';
import { statusFrom } from '../../../src/cli/actions/sidecar-status.ts';
import type { MemberIdentity } from '../../../src/mesh/sidecar/bootstrap.ts';

const MEMBER: MemberIdentity = {
  type: 'sidecar',
  address: '10.0.0.1',
  pod: 'web',
  namespace: 'shop',
  domain: 'shop.svc.cluster.local',
  serviceCluster: 'web',
  metadata: {},
};
const PROBERS = { ISTIO_KUBE_APP_PROBERS: '{"/app-health/web/livez":{"httpGet":{"port":8080}}}' };

describe('the port for probes', () => {
  test('is that of the flag, else the one of Istio where there are probes', () => {
    const portOf = (env: object, flag?: string): number | undefined =>
      statusFrom(env as Record<string, string>, flag, MEMBER)?.pod.statusPort;
    expect([portOf({}), portOf({ ISTIO_KUBE_APP_PROBERS: '' }), portOf({}, '8020')]).toEqual([
      undefined,
      undefined,
      8020,
    ]);
    expect([portOf(PROBERS), portOf(PROBERS, '8020'), portOf(PROBERS, '0')]).toEqual([15_020, 8020, undefined]);
  });

  test.each(['x', '-1', '65536', '1.5', ' '])('is no port by the flag %j', (flag) => {
    expect(() => statusFrom({}, flag, MEMBER)).toThrow(
      expect.objectContaining({
        code: 'CLI_USAGE',
        message: `--statusPort is "${flag}"; expected a port, or 0 for none`,
      }),
    );
  });
});

test('the application is asked from an address that the rules of interception let pass, where there are rules', () => {
  const fromOf = (address: string, mode?: string): string | undefined => {
    const metadata = mode === undefined ? {} : { INTERCEPTION_MODE: mode };
    return statusFrom(PROBERS, undefined, { ...MEMBER, address, metadata })?.pod.from;
  };
  expect([fromOf('10.0.0.1'), fromOf('10.0.0.1', 'TPROXY'), fromOf('fd00::1', 'REDIRECT')]).toEqual([
    '127.0.0.6',
    '127.0.0.6',
    '::6',
  ]);
  expect(fromOf('10.0.0.1', 'NONE')).toBe(undefined);
});

test('a variable without probes in it is an error that names it', () => {
  expect(() => statusFrom({ ISTIO_KUBE_APP_PROBERS: '{' }, undefined, MEMBER)).toThrow(
    expect.objectContaining({
      code: 'CLI_USAGE',
      message: expect.stringContaining('ISTIO_KUBE_APP_PROBERS: this is not JSON: '),
    }),
  );
});
