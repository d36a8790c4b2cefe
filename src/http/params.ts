import { Type } from '@sinclair/typebox';

/** Path parameters are plain strings here: one that is malformed is a 404 like any other unknown name. */
export const WorkspaceParams = Type.Object({ workspaceId: Type.String() });

export const AgentParams = Type.Object({ workspaceId: Type.String(), agentId: Type.String() });
