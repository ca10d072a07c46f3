import { describe, expect, test } from 'vitest';
import { isTrustDomain, NotSpiffe, parseWorkloadId, spiffeId } from '../../../src/identity/spiffe.ts';

describe('the SPIFFE ID of a workload', () => {
  test('is written and read in the form of Istio', () => {
    const id = spiffeId({ trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'reviews-v1' });
    expect(id).toBe('spiffe://cluster.local/ns/shop/sa/reviews-v1');
    expect(parseWorkloadId(id)).toEqual({
      trustDomain: 'cluster.local',
      path: '/ns/shop/sa/reviews-v1',
      namespace: 'shop',
      serviceAccount: 'reviews-v1',
    });
  });

  test.each([
    ['', 'default', 'a'],
    ['Cluster.Local', 'default', 'a'],
    ['cluster.local:443', 'default', 'a'],
    ['cluster.local', '', 'a'],
    ['cluster.local', '..', 'a'],
    ['cluster.local', 'a/sa/admin', 'a'],
    ['cluster.local', 'default', 'a/b'],
    ['cluster.local', 'default', 'a?b'],
    ['cluster.local', 'default', 'a%2fb'],
    ['cluster.local', 'default', 'a\n'],
    ['cluster.local', 'default', 'x'.repeat(2048)],
  ])('is refused for trust domain %j, namespace %j, service account %j', (trustDomain, namespace, serviceAccount) => {
    expect(() => spiffeId({ trustDomain, namespace, serviceAccount })).toThrow(NotSpiffe);
  });

  test('of another form is no workload of Istio', () => {
    expect(parseWorkloadId('spiffe://other/service')).toBeUndefined();
    expect(parseWorkloadId('spiffe://other/ns/a/sa/b/c')).toBeUndefined();
    expect(parseWorkloadId('https://cluster.local/ns/a/sa/b')).toBeUndefined();
  });

  test('has a trust domain in lower case, without port or user', () => {
    expect(['cluster.local', 'a-b_c.9'].every(isTrustDomain)).toBe(true);
    expect(['', 'A', 'a:1', 'a@b', 'a/b', 'a b', 'x'.repeat(256)].some(isTrustDomain)).toBe(false);
  });
});
