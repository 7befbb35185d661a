/** Owns as much of Swagger UI's interface as the page uses; the package brings no types. */

declare module 'swagger-ui-dist/swagger-ui-es-bundle.js' {
  interface SwaggerUi {
    preauthorizeApiKey(scheme: string, value: string): void;
  }
  export default function swaggerUi(options: {
    readonly domNode: HTMLElement;
    readonly url: string;
    readonly deepLinking: boolean;
    readonly validatorUrl: null;
    readonly docExpansion: 'list' | 'full' | 'none';
    readonly defaultModelsExpandDepth: number;
    readonly onComplete: () => void;
  }): SwaggerUi;
}
