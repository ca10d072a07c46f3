import { expect, test } from 'vitest';
import { ownerOf } from '../../../src/inject/admission/owner.ts';

const reference = (kind: string, name: string): object => ({ kind, name, controller: true });

test.each([
  ['ReplicaSet', 'web-5d4f9c', { 'pod-template-hash': '5d4f9c' }, 'web'],
  ['ReplicaSet', 'web-5d4f9c', { 'rollouts-pod-template-hash': '5d4f9c' }, 'web'],
  ['ReplicaSet', 'web-of-hand', { 'pod-template-hash': '5d4f9c' }, 'web-of-hand'],
  ['ReplicaSet', 'web', {}, 'web'],
  ['Job', 'backup-28345670', {}, 'backup'],
  ['Job', 'backup-1', {}, 'backup-1'],
  ['Job', 'backup-20261129', {}, 'backup-20261129'],
  ['ReplicationController', 'web-3', { deploymentconfig: 'web' }, 'web'],
  ['StatefulSet', 'db', {}, 'db'],
])('a pod of the %s %s with labels %j is of %4$s', (kind, name, labels, owner) => {
  const metadata = { namespace: 'shop', labels, ownerReferences: [{ kind: 'Node', name: 'n' }, reference(kind, name)] };
  expect(ownerOf(metadata)).toEqual({ name: owner, namespace: 'shop' });
});

test('a pod that nobody makes is its own', () => {
  expect(ownerOf({ name: 'alone', namespace: 'shop' })).toEqual({ name: 'alone', namespace: 'shop' });
});
