// What Debian 12's Vulkan headers (1.3.239) and loader lack for llama.cpp's backend; every file includes this.
#pragma once
#ifdef ggml_vulkan_EXPORTS  // CMake's name for being a part of that library
#include <vulkan/vulkan.hpp>
#if VK_HEADER_VERSION < 272
#include <vector>
namespace vk {
enum class LayerSettingTypeEXT { eBool32 = 0 };
struct LayerSettingEXT { const char *layer; const char *name; LayerSettingTypeEXT type; uint32_t count; const void *values; };
struct LayerSettingsCreateInfoEXT {
    VkStructureType sType = VK_STRUCTURE_TYPE_MAX_ENUM;
    const void *pNext = nullptr;
    explicit LayerSettingsCreateInfoEXT(const std::vector<LayerSettingEXT> &) {}
};
}
#endif
// The loader exports the functions of no extension; each is looked up when it is called.
#define QWEN3_CHAT_FORWARD(name, parameters, arguments)                                      \
    extern "C" __attribute__((weak)) VkResult name parameters {                              \
        auto function = reinterpret_cast<PFN_##name>(vkGetDeviceProcAddr(device, #name));    \
        return function ? function arguments : VK_ERROR_EXTENSION_NOT_PRESENT;               \
    }
QWEN3_CHAT_FORWARD(vkGetMemoryHostPointerPropertiesEXT,
    (VkDevice device, VkExternalMemoryHandleTypeFlagBits type, const void *pointer, VkMemoryHostPointerPropertiesEXT *properties),
    (device, type, pointer, properties))
QWEN3_CHAT_FORWARD(vkGetPipelineExecutableStatisticsKHR,
    (VkDevice device, const VkPipelineExecutableInfoKHR *info, uint32_t *count, VkPipelineExecutableStatisticKHR *statistics),
    (device, info, count, statistics))
#endif
