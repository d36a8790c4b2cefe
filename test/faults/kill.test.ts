import { shortForm } from './support/short.ts';

await shortForm('kill9-random');
