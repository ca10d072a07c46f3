/** Codes of findings about a mesh; docs/errors.md is generated from this table. */
export const MESH_ERRORS = {
  MESH_KIND: {
    means:
      'The document is of a kind or version that the control plane does not know. A warning: an object of an API server is of a kind without effect.',
    fix: 'Write what the message names in its place, and move the document out of the folder, or delete the object; docs/mesh.md lists all kinds.',
  },
  MESH_FIELD: {
    means: 'A field of an object of the mesh is unknown, missing, or not of its form.',
    fix: 'Write it as the message says.',
  },
  MESH_RULE: {
    means: 'A rule of traffic contradicts itself, or says what Envoy cannot do.',
    fix: 'Change it as the message says.',
  },
  MESH_DUPLICATE: {
    means: 'Two objects of one kind have the same name and namespace.',
    fix: 'Rename or remove one of the two.',
  },
  MESH_SECRET: {
    means: 'A warning: a gateway names a Secret whose certificate is of no use; the server that names it is left out.',
    fix: 'Make the Secret of a certificate and its key in PEM, with the CA of clients as ca.crt for mode MUTUAL, as `kubectl create secret tls` does.',
  },
  MESH_UNUSED: {
    means: 'A warning: an object is read, and nothing uses it.',
    fix: 'Check the names and labels that it refers to, or remove it.',
  },
} as const satisfies Readonly<Record<string, { readonly means: string; readonly fix: string }>>;

export type MeshErrorCode = keyof typeof MESH_ERRORS;
