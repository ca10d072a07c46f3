/** Objects of Istio as texts, and the resources of a sidecar in a mesh of them. */
import { expect } from 'vitest';
import { readMesh } from './read-mesh.ts';
import { resourcesFor } from './resources.ts';

const API = 'apiVersion: networking.istio.io/v1';
export const entry = (name: string, namespace: string, more = '', port = 80): string => `
---
${API}
kind: ServiceEntry
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  hosts: [${name}.${namespace}.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: ${port}, name: http, protocol: HTTP }]
  endpoints: [{ address: 10.1.0.1, labels: { app: ${name} } }]
  ${more}
`;
export const object = (kind: string, name: string, spec: string, namespace = 'default'): string => `
---
${API}
kind: ${kind}
metadata: { name: ${name}, namespace: ${namespace} }
spec: ${spec}
`;
export const ID = 'sidecar~10.1.0.1~web-1.default~default.svc.cluster.local';
export const LABELS = { app: 'web' };

/** Of `web` in `default`, once the texts have no findings. */
export async function sidecar(text: string) {
  const { mesh, findings } = await readMesh({ 'mesh.yaml': text });
  expect(findings).toEqual([]);
  return resourcesFor(mesh, ID, { LABELS });
}
