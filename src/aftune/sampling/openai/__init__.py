"""Any server that speaks OpenAI's protocol: `vllm serve`, SGLang, llama.cpp, a hosted one. Texts come from it, never scores."""
