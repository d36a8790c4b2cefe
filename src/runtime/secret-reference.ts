/** How the value of a variable begins that names a secret and is none. */
export const SECRET_PREFIX = 'secretRef:';
