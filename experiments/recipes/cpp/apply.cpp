// Puts an exported prompt on an image, in C++ with OpenCV:
//   pixprompt export prompt.png --to pair --out exported
//   g++ -O2 -I/usr/include/opencv4 apply.cpp -o apply -lopencv_core -lopencv_imgproc -lopencv_imgcodecs
//   ./apply exported image.png prompted.png           the same bytes as `pixprompt apply`
//   ./apply exported image.png prompted.png --opencv  OpenCV's own resize, which is faster and filters otherwise
#include <cmath>
#include <iostream>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <string>
#include <vector>

using cv::FileNode;
using cv::Mat;
using cv::Size;

const double PI = 3.14159265358979323846;

double sinc(double x) { return x == 0 ? 1 : std::sin(x * PI) / (x * PI); }

double weight(const std::string& filter, double x) {
    double t = std::abs(x), angle = t * PI;
    if (filter == "box") return x > -0.5 && x <= 0.5;
    if (filter == "bilinear") return std::max(0.0, 1 - t);
    if (filter == "hamming")
        return t == 0 ? 1 : t >= 1 ? 0 : std::sin(angle) / angle * (double(0.54f) + double(0.46f) * std::cos(angle));
    if (filter == "bicubic")
        return t < 1 ? (1.5 * t - 2.5) * t * t + 1 : t < 2 ? (((t - 5) * t + 8) * t - 4) * -0.5 : 0;
    return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

// Resizes along the rows' direction; FORMAT.md says how.
Mat down(const Mat& image, int size, const std::string& filter) {
    int length = image.rows;
    if (size == length) return image;
    Mat made(size, image.cols, CV_8UC3);
    double ratio = double(length) / size, stretch = std::max(ratio, 1.0);
    double support = filter == "box" ? 0.5 : filter == "bicubic" ? 2 : filter == "lanczos" ? 3 : 1, reach = support * stretch;
    for (int i = 0; i < size; i++) {
        double middle = (i + 0.5) * ratio, total = 0;
        int first = std::max(0, int(middle - reach + 0.5)), last = std::min(length, int(middle + reach + 0.5));
        if (filter == "nearest") first = std::min(length - 1, int(middle)), last = first + 1;
        std::vector<double> row;
        for (int j = first; j < last; j++) {
            row.push_back(filter == "nearest" ? 1 : weight(filter, (j - middle + 0.5) * (1 / stretch)));
            total += row.back();
        }
        for (int x = 0; x < image.cols * 3; x++) {
            int sum = 1 << 21;
            for (int j = first; j < last; j++) {
                double share = row[j - first] / total;
                sum += int(share * (1 << 22) + (share < 0 ? -0.5 : 0.5)) * image.ptr(j)[x];
            }
            made.ptr(i)[x] = cv::saturate_cast<uchar>(sum >> 22);
        }
    }
    return made;
}

Mat across(const Mat& image, int size, const std::string& filter) {
    return down(image.t(), size, filter).t();
}

Mat resized(const Mat& image, Size size, const std::string& filter) {
    if (image.rows - size.height > std::max(0, 2 * (image.cols - size.width)))
        return across(down(image, size.height, filter), size.width, filter);
    return down(across(image, size.width, filter), size.height, filter);
}

Mat by_opencv(const Mat& image, Size size, const std::string& filter) {
    Mat made;
    bool smaller = size.width < image.cols && size.height < image.rows;
    int larger = filter == "bicubic" ? cv::INTER_CUBIC : filter == "lanczos" ? cv::INTER_LANCZOS4 : cv::INTER_LINEAR;
    cv::resize(image, made, size, 0, 0, filter == "nearest" ? cv::INTER_NEAREST : smaller ? cv::INTER_AREA : larger);
    return made;
}

int even(double x) { return int(std::nearbyint(x)); }  // halves to the even one, as the default mode says

Mat crop(const Mat& image, int height, int width) {
    return image({even((image.cols - width) / 2.0), even((image.rows - height) / 2.0), width, height}).clone();
}

Mat paste(const Mat& image, Size size, int top, int left, const FileNode& fill) {
    Mat made(size, CV_8UC3, cv::Scalar(int(fill[2]), int(fill[1]), int(fill[0])));
    cv::Rect inside = cv::Rect({left, top}, image.size()) & cv::Rect({0, 0}, size);
    image(inside - cv::Point(left, top)).copyTo(made(inside));
    return made;
}

Size size_for(const Mat& image, const FileNode& step) {
    int tall = step["size"][0], wide = step["size"][1], h = image.rows, w = image.cols;
    std::string to = step["to"];
    if (to == "stretch") return {wide, tall};
    if (to == "fit") {
        double scale = std::min(double(tall) / h, double(wide) / w);
        return {std::max(1, even(w * scale)), std::max(1, even(h * scale))};
    }
    if (w * tall <= h * wide) return {wide, int(double(wide) * h / w)};
    return {int(double(tall) * w / h), tall};
}

Mat canvas(const FileNode& steps, Mat image, bool opencv) {
    for (const FileNode& step : steps) {
        std::string name = step["step"];
        int height = step["size"][0], width = step["size"][1];
        if (name == "flip") cv::flip(image.clone(), image, 1);
        else if (name == "turn") for (int n = 0; n < int(step["quarters"]); n++) cv::rotate(image.clone(), image, cv::ROTATE_90_COUNTERCLOCKWISE);
        else if (name == "limit aspect") {
            double aspect = double(height) / width, times = step["times"];
            image = crop(image, std::min(image.rows, std::max(1, even(image.cols * aspect * times))),
                         std::min(image.cols, std::max(1, even(image.rows / aspect * times))));
        } else if (name == "resize") image = (opencv ? by_opencv : resized)(image, size_for(image, step), step["filter"]);
        else if (name == "crop") image = crop(image, height, width);
        else if (name == "tone") {
            Mat table(1, 256, CV_8U);
            for (int v = 0; v < 256; v++) table.at<uchar>(v) = uchar(int(step["table"][v]));
            cv::LUT(image.clone(), table, image);
        } else if (name == "pad") image = paste(image, {width, height}, (height - image.rows) / 2, (width - image.cols) / 2, step["fill"]);
        else if (name == "paste") image = paste(image, {width, height}, step["top"], step["left"], step["fill"]);
        else throw std::runtime_error(name + " is not part of this recipe; see FORMAT.md");
    }
    return image;
}

int main(int count, char** words) {
    if (count < 4) return std::cerr << "apply EXPORTED IMAGE OUT.png [--opencv]\n", 2;
    std::string folder = words[1];
    cv::FileStorage file(folder + "/canvas.json", cv::FileStorage::READ | cv::FileStorage::FORMAT_JSON);
    Mat image = cv::imread(words[2], cv::IMREAD_COLOR);  // opaque images: OpenCV drops transparency
    Mat made = canvas(file["steps"], image, count > 4 && std::string(words[4]) == "--opencv"), prompted;
    cv::add(made, cv::imread(folder + "/add.png"), prompted);
    cv::subtract(prompted, cv::imread(folder + "/subtract.png"), prompted);
    return !cv::imwrite(words[3], prompted);
}
